"use strict";
// Leads one participant through the study. This page does not hold the truth: pictures are numbers, the key is elsewhere.

const study = JSON.parse(document.getElementById("study").textContent);
const element = id => document.getElementById(id);
const LETTERS = "ABCDEFGH";
const STORED_AS = `colorbench-study-${study.id}`;
const BLANK = 500; // milliseconds of gray before pictures that are shown for a limited time
const DAY = 86400000; // milliseconds, the largest number that the server takes
const SMALLEST = 96; // CSS pixels of a picture's side; where even less has room, the page scrolls
const RETRY = 2000; // milliseconds until an answer that the server did not take is sent again
const seconds = study.exposure === null ? "" : ` You see them for ${study.exposure / 1000} s, so look closely.`;
const BLOCKS = {
  pair: {
    title: "Which of two is real?",
    text: "Two versions of one photograph stand side by side. One shows its real colors. Choose that one." + seconds,
    question: "Which one shows its real colors?",
  },
  single: {
    title: "Real or colored?",
    text: "One photograph at a time. Are its colors real, or has a program put them in?" + seconds.replace("them", "it"),
    question: "Are these colors real?",
  },
  pick: {
    title: "Which of several is real?",
    text: "Several versions of one photograph. Only one shows its real colors. Choose that one." + seconds,
    question: "Which one shows its real colors?",
  },
  rate: {
    title: "How does it look?",
    text: "One photograph at a time, for as long as you like. Say how real its colors look, and how good the picture is.",
    question: "How does this picture look?",
  },
};

const state = { participant: "", form: 0, answers: [] };
const served = location.protocol.startsWith("http"); // only a page from `bench study serve` has a server

function show(section, focus) {
  for (const other of document.querySelectorAll("main > section")) other.hidden = other.id !== section;
  if (focus) element(focus).focus();
}

function fail(text) {
  element("failure-text").textContent = text;
  show("failure", "failure-title");
}

const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

function random(count) {
  return Array.from(crypto.getRandomValues(new Uint8Array(count)), byte => byte.toString(16).padStart(2, "0")).join("");
}

// Answers survive a closed window; where the browser stores nothing (private windows), the study cannot be resumed.
function remember() {
  try { localStorage.setItem(STORED_AS, JSON.stringify(state)); } catch { /* not stored */ }
}

function remembered() {
  try { return JSON.parse(localStorage.getItem(STORED_AS)); } catch { return null; }
}

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ study: study.id, ...body }),
  });
  return { status: response.status, content: await response.json() };
}

// begin ---------------------------------------------------------------------------------------------------------------

async function begin(before) {
  const number = element("number").value === "" ? null : Number(element("number").value);
  if (served) {
    const { status, content } = await post("start", { participant: before?.participant ?? null, number });
    if (status !== 200) return fail(content.error);
    Object.assign(state, { participant: content.participant, form: content.form });
    state.answers = content.answers;
  } else if (before) {
    Object.assign(state, before);
  } else {
    const seed = number ?? crypto.getRandomValues(new Uint32Array(1))[0];
    Object.assign(state, { participant: random(8), form: seed % study.forms.length, answers: [] });
  }
  remember();
  next();
}

function start(before) {
  begin(before).catch(() => fail("The server does not answer. Reload this page to go on where you were."));
}

// trials --------------------------------------------------------------------------------------------------------------

function next() {
  const form = study.forms[state.form];
  const done = new Set(state.answers.map(answer => answer.trial));
  const place = form.findIndex((_, trial) => !done.has(trial));
  if (place < 0) return end();
  const task = form[place][0];
  if (place > 0 && form[place - 1][0] === task && done.has(place - 1) && !element("trial").hidden) return ask(place);
  element("block-title").textContent = BLOCKS[task].title;
  element("block-text").textContent = BLOCKS[task].text;
  element("continue").onclick = () => ask(place);
  show("block", "block-title");
}

async function ask(place) {
  const form = study.forms[state.form];
  const [task, ...pictures] = form[place];
  element("step").textContent = `Step ${place + 1} of ${form.length}`;
  Object.assign(element("progress"), { max: form.length, value: place });
  element("question").textContent = BLOCKS[task].question;
  element("status").textContent = "";
  element("ratings").reset();
  element("ratings").hidden = task !== "rate";
  element("choices").replaceChildren(...(task === "rate" ? [] : buttons(task, pictures.length)));
  enable(false); // they have their places already, so that no picture changes its size when they can be pressed
  const stage = element("stage");
  stage.className = "unseen";
  stage.replaceChildren(...pictures.map((picture, k) => figure(picture, pictures.length > 1 ? LETTERS[k] : "")));
  show("trial", "question");
  lay();
  const timed = study.exposure !== null && task !== "rate";
  await Promise.all([...stage.querySelectorAll("img")].map(image => image.decode()));
  if (timed) await wait(BLANK);
  stage.className = "";
  const began = performance.now();
  const answer = given => record({ trial: place, ...given, milliseconds: Math.min(Math.round(performance.now() - began), DAY) });
  element("choices").onclick = event => {
    const choice = [...element("choices").children].indexOf(event.target.closest("button"));
    if (choice < 0) return;
    enable(false);
    answer({ choice });
  };
  element("ratings").onsubmit = event => {
    event.preventDefault();
    enable(false);
    const given = new FormData(element("ratings"));
    answer({ realism: Number(given.get("realism")), quality: Number(given.get("quality")) });
  };
  enable(true);
  if (timed) hideLater(stage, stage.firstChild);
}

function hideLater(stage, first) {
  setTimeout(() => {
    if (stage.firstChild !== first) return; // the answer was given, and the next pictures are shown
    stage.className = "unseen";
    element("status").textContent = "Now answer from memory.";
  }, study.exposure);
}

function figure(picture, letter) {
  const box = document.createElement("figure");
  const image = new Image();
  image.src = `data:image/png;base64,${study.pictures[picture]}`;
  image.alt = letter ? `Picture ${letter}` : "The picture";
  box.append(image);
  if (letter) {
    const caption = document.createElement("figcaption");
    caption.textContent = letter;
    box.append(caption);
  }
  return box;
}

function buttons(task, count) {
  const texts = task === "single" ? ["Real", "Colored by a program"] : [...LETTERS.slice(0, count)].map(x => `${x} is real`);
  return texts.map((text, choice) => {
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    key.textContent = choice + 1;
    button.append(text, key);
    return button;
  });
}

function enable(can) {
  for (const button of document.querySelectorAll("#trial button")) button.disabled = !can;
}

// Of all numbers of columns takes that which shows the pictures largest: side by side on a desk, one above the other on a phone.
function lay() {
  const stage = element("stage");
  const count = stage.children.length;
  if (!count) return;
  arrange(stage, count, SMALLEST); // large pictures would make the room that is measured
  const style = getComputedStyle(stage);
  const [gap, edge] = [style.columnGap, style.paddingLeft].map(parseFloat);
  const caption = stage.querySelector("figcaption")?.getBoundingClientRect().height ?? 0;
  const side = columns => Math.min(
    (stage.clientWidth - 2 * edge + gap) / columns - gap,
    (stage.clientHeight - 2 * edge + gap) / Math.ceil(count / columns) - gap - caption,
  );
  const columns = Array.from({ length: count }, (_, k) => k + 1).reduce((best, one) => side(one) > side(best) ? one : best);
  arrange(stage, columns, Math.max(SMALLEST, Math.floor(side(columns))));
}

function arrange(stage, columns, side) {
  stage.style.setProperty("--columns", columns);
  stage.style.setProperty("--side", `${side}px`);
}
new ResizeObserver(lay).observe(element("stage"));

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || element("trial").hidden) return;
  const button = element("choices").children[Number(event.key) - 1];
  if (button && !event.repeat) button.click();
});

// answers -------------------------------------------------------------------------------------------------------------

async function record(answer) {
  if (served && !(await sent(answer))) return;
  state.answers.push(answer);
  remember();
  next();
}

// An answer counts as given when the server says that it is stored; until then it is sent again.
async function sent(answer) {
  for (;;) {
    try {
      const { status, content } = await post("answer", { participant: state.participant, answer });
      if (status === 200 || status === 409) return true; // 409: the answer is stored, only the reply was lost
      if (status < 500 && status !== 429) { // 429: too many requests at once; it passes
        fail(content.error);
        return false;
      }
    } catch { /* no reply */ }
    element("status").textContent = "Not saved yet: the server does not answer. Trying again…";
    await wait(RETRY);
  }
}

function end() {
  const content = { schema: study.schema, study: study.id, ...state };
  const link = element("download");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content)], { type: "application/json" }));
  link.download = `answers-${state.participant}.json`;
  element("end-text").textContent = served
    ? "All your answers are saved; you can close this page. If you like, keep a copy."
    : "Please download your answers and send the file to whoever asked you. They are on this computer only.";
  show("end", "end-title");
}

// the first page ------------------------------------------------------------------------------------------------------

element("begin").onsubmit = event => {
  event.preventDefault();
  start(null);
};

function offerToResume() {
  const before = remembered();
  if (!before?.answers?.length || !study.forms[before.form]) return;
  const left = study.forms[before.form].length - before.answers.length;
  element("resume").textContent = left > 0 ? `Go on: ${left} steps are left` : "Download the last answers again";
  element("resume").onclick = () => start(before);
  element("resume").hidden = false;
}

element("count").textContent = study.forms[0].length;
element("where").textContent = served
  ? "They are stored on the computer that serves this page."
  : "They stay on this computer; at the end you download them as a file.";
offerToResume();
show("intro");
