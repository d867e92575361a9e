// Elements from words. Never from markup: words stay words.

export const ICONS = {
  close: "M18 6 6 18M6 6l12 12",
  back: "m12 19-7-7 7-7M19 12H5",
  more: "M12 11.9v.2M19 11.9v.2M5 11.9v.2",
  send: "m5 12 7-7 7 7M12 19V5",
  go: "m9 18 6-6-6-6",
  alert: "M12 2a10 10 0 1 0 .1 0M12 8v4M12 16h.01",
  bot: "m12 3 2.3 6.7L21 12l-6.7 2.3L12 21l-2.3-6.7L3 12l6.7-2.3ZM19 3v4M21 5h-4",
  book: "M12 7v13M3 4h5a4 4 0 0 1 4 3 4 4 0 0 1 4-3h5v13h-9H3z",
  user: "M4 21c0-8 16-8 16 0M12 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8",
  check: "M20 6 9 17l-5-5",
  read: "M18 6 7 17l-5-5M22 10l-7.5 7.5L13 16",
  attach: "m21 11-9 9a6 6 0 0 1-8.5-8.5l8.5-8.5a4 4 0 0 1 6 6l-8.5 8.5a2 2 0 0 1-3-3l8-8",
};

export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const shape = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", true);
  shape.setAttribute("d", ICONS[name]);
  svg.append(shape);
  return svg;
}

export const button = (tag, click, ...children) =>
  h(`button.${tag}`, { type: "button", click }, ...children);

// A link only if it leads to a page.
export function link(address, base, ...label) {
  const href = URL.canParse(address, base) ? new URL(address, base).href : "";
  const safe = /^https?:/.test(href);
  return safe ? h("a", { href, target: "_blank", rel: "noopener" }, ...label) : h("span", null, ...label);
}

const ADDRESS = /(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)])/;
const MARKED =
  /\*\*(?=\S)(.+?)\*\*|(?<!\w)\*(?=\S)(.+?)\*(?!\w)|(?<!\w)_(?=\S)(.+?)_(?!\w)|`([^`]+)`|\[([^\]]+)\]\(((?:[^\s()]|\([^\s()]*\))+)\)|(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)])/;

export const linked = (text) => text.split(ADDRESS).map((part, i) => (i % 2 ? link(part, part, part) : part));

function marked(text) {
  const found = MARKED.exec(text);
  if (!found) return [text];
  const [all, strong, star, score, code, label, to, address] = found;
  const soft = star ?? score;
  const node = strong
    ? h("b", null, ...marked(strong))
    : soft
      ? h("em", null, ...marked(soft))
      : code
        ? h("code", null, code)
        : link(to ?? address, address, label ?? address);
  const { index } = found;
  return [text.slice(0, index), node, ...marked(text.slice(index + all.length))];
}

// Markdown as people and models write it in a chat: bold, italic, code, lists, links.
export function prose(text) {
  const nodes = [];
  text.split(/```\w*\n?([^]*?)```\n?/).forEach((part, i) => {
    if (i % 2) return nodes.push(h("pre", { tabindex: 0 }, h("code", null, part)));
    let list;
    for (const line of part.split(/(?<=\n)/)) {
      const [, bullet, item] = /^ *([-*•]|\d+[.)]) +(.*)/.exec(line) ?? [];
      if (!bullet) {
        if (list && !line.trim()) continue;
        list = null;
        nodes.push(...marked(line));
        continue;
      }
      const number = parseInt(bullet);
      const name = number ? "OL" : "UL";
      if (list?.nodeName !== name) nodes.push((list = h(name, number > 1 ? { start: number } : {})));
      list.append(h("li", null, ...marked(item)));
    }
  });
  return nodes;
}
