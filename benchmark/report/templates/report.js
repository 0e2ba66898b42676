// The page is whole without this. With it: filters, sorting, a theme, and a closer look at pictures.
"use strict";
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Theme: the system's, until the button is pressed; remembered where the browser lets files remember.
const theme = one("#theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
function showTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  theme.textContent = (name || (dark.matches ? "dark" : "light")) === "dark" ? "Light" : "Dark";
  theme.setAttribute("aria-label", `${theme.textContent} colors`);
}
function remembered() {
  try { return localStorage.getItem("colorbench-theme"); } catch { return null; }
}
theme.addEventListener("click", () => {
  const name = theme.textContent.toLowerCase();
  showTheme(name);
  try { localStorage.setItem("colorbench-theme", name); } catch { /* then only for this visit */ }
});
dark.addEventListener("change", () => showTheme(document.documentElement.dataset.theme));
showTheme(remembered());

// The page that is shown: marked in the contents, which close on a phone.
const contents = one("#contents");
function showPage() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const page = target?.closest(".page") ?? one(".page");
  for (const link of all("a", contents)) {
    if (link.getAttribute("href") === `#${page.id}`) link.setAttribute("aria-current", "page");
    else if (link.getAttribute("href").startsWith("#")) link.removeAttribute("aria-current");
  }
  for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  if (contents.matches(":popover-open")) contents.hidePopover();
}
addEventListener("hashchange", showPage);
one(".skip").addEventListener("click", event => { // the address names the page that is shown, and must go on doing so
  event.preventDefault();
  one("#main").focus();
});

// Filters: one rule each in a style sheet, so that nothing is touched that is not shown.
const toolbar = one("#toolbar");
const rules = one("#filter");
function applyFilters() {
  const chosen = Object.fromEntries(new FormData(toolbar));
  const hidden = chosen.metric === "headline" ? "[data-metric].further:not(:target)" : `[data-metric]:not([data-metric="${CSS.escape(chosen.metric)}"])`;
  rules.textContent = chosen.metric ? `${hidden}{display:none}` : "";
  document.body.classList.toggle("focused", chosen.method !== "");
  for (const element of all("[data-method]")) element.classList.toggle("on", element.dataset.method === chosen.method);
}
toolbar.addEventListener("change", applyFilters);
toolbar.addEventListener("submit", event => event.preventDefault());

// Sorting: a press on a head sorts each part of the table, a second one the other way; empty cells stay last.
function sort(table, column, down) {
  const key = row => row.children[column].dataset.value ?? "";
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const compared = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return down ? -compared : compared;
  };
  for (const body of table.tBodies) body.append(...all("tr:not(.part)", body).sort(order));
}
for (const table of all("table.scores")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(table, column, down);
    });
  });
}

// Costs and groups of pictures: a choice for each chapter.
for (const select of all("select.cost")) {
  const chapter = select.closest(".chapter");
  const show = () => { for (const figure of all("figure[data-cost]", chapter)) figure.hidden = figure.dataset.cost !== select.value; };
  select.addEventListener("change", show);
  show();
}
const groupsOf = strip => Object.fromEntries(strip.dataset.groups.split(" ").map(entry => entry.split(":")));
for (const select of all("select.groups")) {
  const strips = one(".strips", select.closest(".chapter"));
  const show = () => {
    const metric = select.value.slice(select.value.indexOf("-") + 1); // of "worst-ssim"; other groups show PSNR
    const order = strip => groupsOf(strip)[select.value];
    const chosen = all(".strip", strips);
    for (const strip of chosen) strip.hidden = order(strip) === undefined;
    strips.prepend(...chosen.filter(strip => !strip.hidden).sort((a, b) => order(a) - order(b)));
    for (const score of all(".score", strips)) score.textContent = score.getAttribute(`data-${metric}`) ?? score.dataset.psnr ?? "";
  };
  select.addEventListener("change", show);
  show();
}

// Pictures: pointing shows the truth in a picture's place, arrow keys walk, a press opens the comparison.
const links = row => all("a", row);
for (const strips of all(".strips")) {
  const truthOf = link => links(link.closest(".row")).at(-1).getAttribute("href");
  const flip = (event, to) => {
    const link = event.target.closest("a");
    if (link && !link.contains(event.relatedTarget)) one("img", link).src = to(link);
  };
  strips.addEventListener("mouseover", event => flip(event, truthOf));
  strips.addEventListener("mouseout", event => flip(event, link => link.getAttribute("href")));
  strips.addEventListener("click", event => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openComparison(link);
  });
  strips.addEventListener("keydown", event => {
    const link = event.target.closest("a");
    const [across, along] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] ?? [0, 0];
    if (!link || (!across && !along)) return;
    const rows = all(".strip:not([hidden]) .row", strips);
    const here = links(link.closest(".row"));
    const next = across ? here[here.indexOf(link) + across] : links(rows[rows.indexOf(link.closest(".row")) + along] ?? document.createElement("i"))[here.indexOf(link)];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

// Comparison of two pictures of one image, a slider between them.
const dialog = one("#compare");
const stage = one(".stage", dialog);
const slider = one("input", dialog);
const sides = Object.fromEntries(["over", "under"].map(side => [side, one(`[data-side=${side}]`, dialog)]));
let shown = null; // the row of pictures
function cut(percent) {
  slider.value = percent;
  stage.style.setProperty("--cut", `${slider.value}%`);
}
function showSides() {
  const figures = all("figure", shown);
  for (const [side, select] of Object.entries(sides)) {
    const figure = figures.find(figure => figure.dataset.method === select.value);
    const [picture, source] = [one(`.${side}`, stage), one("img", figure)];
    picture.src = one("a", figure).getAttribute("href");
    picture.alt = source.alt;
  }
  for (const line of all(".told tbody tr", dialog))
    line.classList.toggle("on", Object.values(sides).some(select => select.value === line.cells[0].textContent));
}
function showScores() { // a line per picture, a column per metric that any of them has
  const scored = all("figure", shown).map(figure => [figure.dataset.method, {...one(".score", figure).dataset}]);
  const names = [...new Set(scored.flatMap(([, values]) => Object.keys(values)))];
  const cells = (tag, texts) => texts.map(text => Object.assign(document.createElement(tag), {textContent: text}));
  const words = (values, name) => (values[name] ?? "").split(/ (?=[-–\d])| (?=\S+$)/); // "AuC rebal. 61.2 %"
  const row = parts => { const line = document.createElement("tr"); line.append(...parts); return line; };
  const label = name => words(scored.find(([, values]) => values[name])[1], name)[0];
  one(".told thead", dialog).replaceChildren(row(cells("th", names.length ? ["", ...names.map(label)] : [])));
  one(".told tbody", dialog).replaceChildren(...scored.filter(([, values]) => names.some(name => values[name])).map(([method, values]) =>
    row(cells("td", [method, ...names.map(name => words(values, name)[1] ?? "")]))));
}
function showRow(row, over, under) {
  shown = row;
  const methods = all("figure", row).map(figure => figure.dataset.method);
  for (const [side, select] of Object.entries(sides)) {
    select.replaceChildren(...methods.map(name => new Option(name)));
    const wanted = side === "over" ? over : under;
    select.value = methods.includes(wanted) ? wanted : methods.at(-1);
  }
  one("#compare-title").textContent = row.closest(".strip").getAttribute("aria-label");
  showScores();
  stage.style.imageRendering = row.closest(".pixels") ? "pixelated" : "auto";
  showSides();
}
function openComparison(link) {
  const row = link.closest(".row");
  const names = all("figure", row).map(figure => figure.dataset.method);
  const name = link.closest("figure").dataset.method;
  showRow(row, name === names.at(-1) ? names[0] : name, names.at(-1));
  cut(50);
  dialog.showModal();
  slider.focus();
}
function step(by) {
  const rows = all(".strip:not([hidden]) .row", shown.closest(".strips"));
  showRow(rows.at((rows.indexOf(shown) + by) % rows.length), sides.over.value, sides.under.value);
}
slider.addEventListener("input", () => cut(slider.value));
for (const select of Object.values(sides)) select.addEventListener("change", showSides);
stage.addEventListener("pointermove", event => {
  const box = stage.getBoundingClientRect();
  if (event.pointerType === "mouse" || event.buttons) cut(100 * (event.clientX - box.left) / box.width);
});
dialog.addEventListener("click", event => {
  const action = event.target.dataset.do;
  if (action === "close" || event.target === dialog) dialog.close();
  else if (action) step(action === "next" ? 1 : -1);
});
dialog.addEventListener("keydown", event => {
  if (event.target.tagName !== "SELECT" && (event.key === "n" || event.key === "p")) step(event.key === "n" ? 1 : -1);
});

for (const element of [theme, toolbar, ...all(".local")]) element.hidden = false;
applyFilters();
showPage();
