// What was said in chats that were merged into the one there is: it stays before its visitor's eyes.

const LAST = 50; // of each; all of it is among the earlier chats

// Returns what reads the last words of these chats. They have no places in the one they came into.
export function keep({ call }) {
  return async (chats) => {
    const address = (chat) => `messages?before=${2 ** 31 - 1}&last=${LAST}&chat=${chat}`;
    const pages = chats.map((chat) => call("GET", address(chat)).catch(() => ({ messages: [] })));
    return (await Promise.all(pages)).flatMap(({ messages }, n) =>
      messages.map((one) => ({ ...one, client_token: `${chats[n]}:${one.seq}`, seq: 0 })),
    );
  };
}
