// Tells the server which clock this browser shows, so that pages are written in its time.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `timezone=${zone}; path=/; max-age=31536000; SameSite=Lax`;
