// The page's behaviour: it uploads, looks how far the reading is, asks, and draws boxes over the picture.
const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const POLL_MS = 500;
let shown = null; // the page that is looked at: { id, hit }
let pages = [];

const say = text => { $("status").textContent = text; };

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

async function request(path, options) {
  let answer, told;
  try {
    answer = await fetch(path, options);
    told = await answer.json();
  } catch {
    throw new Error("The service does not answer.");
  }
  if (!answer.ok) throw new Error(told.error);
  return told;
}

// Whatever goes wrong is said where everybody hears it.
const trying = action => async event => {
  event?.preventDefault();
  try { await action(event); } catch (error) { say(error.message); }
};

const stateOf = page => ({
  waiting: "waiting",
  reading: page.found ? `reading, ${page.done} of ${page.found} lines` : "looking for lines",
  ready: "read",
  failed: "could not be read",
})[page.state];

function listPages() {
  const focused = document.activeElement?.dataset?.page;
  $("pages").replaceChildren(...pages.map(page => {
    const button = element("button", { type: "button", onclick: trying(() => show(page.id)) }, page.name);
    button.dataset.page = page.id;
    button.setAttribute("aria-current", String(shown?.id === page.id));
    const note = element("small", {}, stateOf(page));
    if (page.state === "reading") {
      note.append(" ", element("progress", { max: page.found || 1, value: page.done, ariaLabel: `${page.name}, lines read` }));
    }
    button.append(note);
    return element("li", {}, button);
  }));
  if (focused) document.querySelector(`[data-page="${focused}"]`)?.focus();
}

const unread = page => page.state === "waiting" || page.state === "reading";

let watching = false;
async function watch() {
  if (watching) return;
  watching = true;
  try {
    for (;;) {
      const before = Object.fromEntries(pages.map(page => [page.id, page.state]));
      pages = (await request("pages")).pages;
      listPages();
      const left = pages.filter(unread);
      const finished = pages.filter(page => !unread(page) && before[page.id] !== undefined && before[page.id] !== page.state);
      for (const page of finished) if (shown?.id === page.id) await show(page.id, shown.hit);
      if (finished.length) say(`${finished.map(page => `${page.name}: ${stateOf(page)}`).join(", ")}. Left to read: ${left.length}.`);
      if (!left.length) return;
      await new Promise(done => setTimeout(done, POLL_MS));
    }
  } finally { watching = false; }
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function polygon(line, hit) {
  const made = document.createElementNS(SVG, "polygon");
  made.setAttribute("points", line.box.map(corner => corner.join(",")).join(" "));
  const number = hit ? hit.lines.findIndex(found => same(found.box, line.box)) : -1;
  if (number >= 0) made.setAttribute("class", number === hit.best_line ? "hit best" : "hit");
  return made;
}

async function show(id, hit) {
  const page = await request(`pages/${id}`);
  shown = { id, hit };
  $("page-title").textContent = page.name;
  $("picture").src = `pages/${id}/image`;
  $("picture").width = page.width;
  $("picture").height = page.height;
  $("picture").alt = `Scan of ${page.name}` + (page.lines.length ? "; its text stands below" : "");
  $("boxes").setAttribute("viewBox", `0 0 ${page.width} ${page.height}`);
  $("boxes").replaceChildren(...page.lines.map(line => polygon(line, hit)));
  $("caption").textContent = hit
    ? `Answer: ${hit.lines[hit.best_line].text}`
    : page.state === "ready" ? `${page.lines.length} lines, read in ${page.ocr_s.toFixed(1)} s` : stateOf(page);
  $("lines").replaceChildren(...page.lines.map(line => element("li", {}, line.text)));
  $("sheet").hidden = false;
  $("read").hidden = !page.lines.length;
  mark();
}

function mark() {
  for (const button of document.querySelectorAll("#pages button")) button.setAttribute("aria-current", String(button.dataset.page === shown?.id));
  for (const button of document.querySelectorAll("#hits button")) button.setAttribute("aria-current", String(button.hit === shown?.hit));
}

function listHits(hits) {
  $("hits").replaceChildren(...hits.map((hit, number) => {
    const look = trying(async () => {
      await show(hit.page, hit);
      $("page-title").scrollIntoView({ block: "nearest" }); // on a narrow screen it stands below the answers
    });
    const button = element("button", { type: "button", onclick: look }, `${number + 1}. ${hit.text}`);
    button.hit = hit;
    const meter = element("meter", { min: 0, max: 1, value: Math.max(0, hit.score), ariaLabel: "score" });
    button.append(element("small", {}, meter, ` ${hit.score.toFixed(3)} (by vector ${hit.cosine.toFixed(3)}), ${hit.name}`));
    return element("li", {}, button);
  }));
}

$("ask").addEventListener("submit", trying(async () => {
  const query = $("query").value;
  say("Looking for it.");
  const found = await request("search", { method: "POST", body: JSON.stringify({ query, top_k: 5 }) });
  listHits(found.hits);
  if (found.hits.length) await show(found.hits[0].page, found.hits[0]);
  const later = found.unread ? ` Not read yet: ${found.unread}.` : "";
  say(found.hits.length ? `Found ${found.hits.length}, the best on ${found.hits[0].name}.${later}` : `Nothing was read yet.${later}`);
}));

$("upload").addEventListener("submit", trying(async () => {
  const file = $("file").files[0];
  say(`Sending ${file.name}.`);
  const page = await request(`pages?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
  $("upload").reset();
  say(`${page.name} is being read.`);
  pages.push(page);
  listPages();
  await show(page.id);
  await watch();
}));

trying(watch)();
