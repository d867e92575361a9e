// What the chat looks like. Only logical properties, but for the corner that a page chose.

export const STYLE = `
:host{--bg:light-dark(#fff,#131519);--sunken:light-dark(#f6f7f9,#0d0f12);--press:light-dark(#e9eaee,#25282d);--line:light-dark(#e0e2e6,#292c31);--field:light-dark(#8b8f98,#6b6f78);--text:light-dark(#181c25,#ebedf0);--soft:light-dark(#61656e,#a0a3ab);--bad:light-dark(#b51e26,#fc9491);font:420 14px/1.5 "Inter Variable",Inter,system-ui,sans-serif;color:var(--text)}
:host{--link:var(--accent-text,light-dark(#364ac7,#9cb4fe));--fill:var(--accent,light-dark(#3a50d5,#4861dd))}
*{box-sizing:border-box;margin:0}
[hidden]{display:none!important}
button,textarea,input,select{font:inherit;color:inherit;background:none;border:0;padding:0}
button{cursor:pointer;text-align:start}
svg{inline-size:16px;block-size:16px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
[dir=rtl] .flip svg{transform:scaleX(-1)}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.icon,.face{display:grid;place-items:center;flex:none}
.peek,dialog{border-radius:14px;background:var(--bg);box-shadow:0 0 0 1px var(--line),0 16px 48px light-dark(#1a1d2a33,#0009)}
.launch{position:relative;margin-inline-start:auto}
.launch,.send,.main,.me .bubble,.row .count{color:var(--on,#fff);background:var(--fill)}
.count{position:absolute;inset-block-start:-2px;inset-inline-end:-2px;padding-inline:6px;border-radius:99px;font:620 11px/18px system-ui;color:#fff;background:#c32327;box-shadow:0 0 0 2px var(--bg)}
.peek{max-inline-size:240px;max-block-size:98px;margin-block-end:12px;padding:12px 16px;overflow:hidden;overflow-wrap:anywhere}
dialog{position:fixed;inset:auto 20px 20px auto;inline-size:368px;max-inline-size:none;block-size:min(640px,100dvh - 40px);max-block-size:none;padding:0;border:0;color:inherit;overflow:hidden;container-type:size}
.left{inset:auto auto 20px 20px}
dialog[open]{display:flex;flex-direction:column}
.head{display:flex;align-items:center;gap:10px;padding:12px;border-block-end:1px solid var(--line);line-height:1.3}
.head>div{flex:1;min-inline-size:0}
.head>div *,.row>span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
h2,b{font-size:14px;font-weight:620}
p{font-size:12px;color:var(--soft)}
.face{inline-size:28px;block-size:28px;border-radius:30%;font:620 11px system-ui;background:light-dark(oklch(.92 .05 var(--hue,150)),oklch(.37 .06 var(--hue,150)));color:light-dark(oklch(.38 .09 var(--hue,150)),oklch(.92 .06 var(--hue,150)))}
.bot{background:light-dark(#e6edff,#202949);color:var(--link)}
.faces{display:flex}
.faces *{box-shadow:0 0 0 2px var(--sunken)}
.faces *+*{margin-inline-start:-6px}
.icon{inline-size:36px;block-size:36px;border-radius:6px}
.icon:hover:not(.send),.pill:hover,.row:hover{background:var(--press)}
.away{padding:6px 16px;color:inherit;background:light-dark(#fff5dd,#2f2412)}
.hello{padding:4px 16px 16px;background:var(--sunken);border-block-end:1px solid var(--line)}
.hello h2{font-size:22px;line-height:1.3;letter-spacing:-.02em;overflow-wrap:anywhere}
.hello p{font-size:14px}
[data-view=home] .head{border:0;padding:16px 16px 8px;background:var(--sunken)}
.home,.page{flex:1;min-block-size:0;overflow-y:auto;padding:16px}
.home{display:flex;flex-direction:column}
.home .quick{margin-block-start:auto}
dialog:not([data-view=home]) :is(.hello,.home),dialog:not([data-view=page]) .page,[data-view=home] :is(.body,.back),[data-view=page] :is(.body,form.write){display:none}
.card{margin-block-end:12px;border:1px solid var(--line);border-radius:10px;overflow:hidden}
.row{display:flex;align-items:center;gap:10px;inline-size:100%;min-block-size:44px;padding:8px 12px}
.card:empty{display:none}
.row+.row{border-block-start:1px solid var(--line)}
.row>span:nth-child(2){flex:1;min-inline-size:0}
.row .count{position:static}
.row:focus-visible{outline-offset:-2px}
.body{flex:1;min-block-size:0;display:flex;flex-direction:column-reverse;overflow-y:auto;overscroll-behavior:contain;padding:16px}
.body:focus-visible,textarea:focus-visible{outline-offset:-2px}
.body>div{margin-block-end:auto}
.chat{display:grid;grid-template-columns:28px minmax(0,1fr);column-gap:8px;max-inline-size:94%;margin-block-end:12px}
.chat>*{grid-column:2;justify-self:start}
.chat .face{grid-area:2/1;align-self:end}
.by{margin:0 0 3px 2px}
.joined .by{display:none}
.joined .face{grid-row:1}
.followed{margin-block-end:3px}
.followed .face{visibility:hidden}
.bubble{max-inline-size:100%;padding:7px 12px;border-radius:14px;background:var(--press);white-space:pre-wrap;overflow-wrap:anywhere}
a{color:inherit}
.bubble :is(ul,ol){margin-block:4px;padding-inline-start:20px;white-space:normal}
code{font:12px ui-monospace,monospace}
pre{margin-block:4px;overflow-x:auto;white-space:pre}
.me{margin-inline-start:auto}
.me>*{justify-self:end}
.unsent .bubble{color:var(--text);background:var(--bg);box-shadow:inset 0 0 0 1px var(--bad)}
.unsent .note,.bad{color:var(--bad)}
.note,.sources,.quick,.write{display:flex;flex-wrap:wrap;align-items:center;gap:5px;padding-block-start:4px}
.note{justify-content:end}
.small,.pill{min-block-size:24px;padding-inline:8px;border:1px solid;border-radius:6px;font-weight:530}
.sources a{display:flex;align-items:center;gap:4px;padding:2px 7px;border-radius:4px;font-size:12px;line-height:20px;background:var(--press)}
.caret,i{display:inline-block;inline-size:6px;block-size:6px;margin-inline:2px;border-radius:50%;background:var(--soft);animation:blink 1s infinite}
.caret{block-size:14px;border-radius:1px;background:var(--fill)}
@keyframes blink{50%{opacity:.25}}
.line{margin-block:8px 12px;text-align:center}
.pill{display:flex;align-items:center;gap:6px;min-block-size:32px;padding-inline:12px;border-radius:99px;color:var(--link)}
.write{padding:8px;border-block-start:1px solid var(--line)}
textarea{flex:1;min-inline-size:0;block-size:36px;max-block-size:min(160px,30cqb);padding:7px 8px;border-radius:6px;resize:none}
::placeholder{color:var(--soft);opacity:1}
[aria-disabled=true]{opacity:.5}
.hint{inline-size:100%;padding-inline:8px}
@media(max-width:479px){dialog,.left{inset:0;inline-size:100%;block-size:var(--tall,100dvh);border-radius:0}textarea,input,select{font-size:16px}}
@media(prefers-reduced-motion){*{animation:none!important}}`;
