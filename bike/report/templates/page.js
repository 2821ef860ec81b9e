"use strict";
// Tables sort, curves and matrices tell the values under the pointer, and paper shows what the page folds.
// The page is whole without this. Text from files only ever becomes textContent.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function value(text) {
  const found = text.match(/^[-+]?[\d.]+/);
  return found ? parseFloat(found[0]) : -Infinity;
}

for (const table of all("table.sort")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const figures = head.classList.contains("figure");
      const last = head.getAttribute("aria-sort");
      const up = last ? last === "descending" : !figures; // figures begin with the highest
      const text = (row) => row.cells[column].textContent.trim();
      const compare = figures
        ? (a, b) => value(text(a)) - value(text(b))
        : (a, b) => text(a).localeCompare(text(b), "en", { numeric: true });
      table.tBodies[0].append(...all("tbody tr", table).sort((a, b) => (up ? compare(a, b) : compare(b, a))));
      table.classList.add("sorted");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
    });
  });
}

const tip = document.body.appendChild(document.createElement("div"));
tip.className = "tip";
tip.setAttribute("role", "status");
function show(x, y, text) {
  tip.textContent = text;
  tip.style.left = `${Math.max(4, Math.min(x + 14, document.documentElement.clientWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${y + 14}px`;
}
const hide = () => show(0, 0, "");

const nearest = (points, step) =>
  points.reduce((best, point) => (Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best));

for (const svg of all("svg[data-plot]")) {
  const { axis, lines } = JSON.parse(svg.dataset.plot);
  const [low, high, left, right, top, bottom] = axis;
  const steps = lines.flatMap((line) => line.points).sort((a, b) => a[0] - b[0]);
  const mark = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
  mark.setAttribute("class", "mark");
  let place = -1;
  const point = (index) => {
    place = Math.max(0, Math.min(index, steps.length - 1));
    const step = steps[place][0];
    const x = left + ((step - low) / (high - low || 1)) * (right - left);
    mark.setAttribute("d", `M${x} ${top}V${bottom}`);
    const box = svg.getBoundingClientRect();
    const text = lines.map((line) => [line.name, ...nearest(line.points, step)]);
    const scale = box.width / svg.viewBox.baseVal.width;
    show(box.x + x * scale, box.y + box.height / 3, text.map(([name, at, y]) => `${name}: ${y} at step ${at}`).join("\n"));
  };
  const away = () => (mark.removeAttribute("d"), hide());
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.x) / box.width) * svg.viewBox.baseVal.width;
    point(steps.indexOf(nearest(steps, low + ((x - left) / (right - left)) * (high - low))));
  });
  svg.addEventListener("pointerleave", away);
  svg.tabIndex = 0;
  svg.addEventListener("blur", away);
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!move) return;
    event.preventDefault();
    const from = place < 0 ? -Infinity : steps[place][0];
    const next = move > 0 ? steps.findIndex(([at]) => at > from) : steps.findLastIndex(([at]) => at < from);
    point(Number.isFinite(move) && next >= 0 ? next : move * Infinity);
  });
}

for (const figure of all("figure.dense")) {
  const picture = figure.querySelector("img");
  const names = JSON.parse(figure.dataset.names);
  const cells = JSON.parse(figure.dataset.cells);
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const cell = (at) => Math.max(0, Math.min(names.length - 1, Math.floor(at * names.length)));
    const row = cells.filter(([actual]) => actual === cell((event.clientY - box.y) / box.height));
    const column = cell((event.clientX - box.x) / box.width);
    const count = row.find(([, predicted]) => predicted === column)?.[2] || 0;
    const total = row.reduce((sum, [, , videos]) => sum + videos, 0);
    const name = names[cell((event.clientY - box.y) / box.height)];
    show(event.clientX, event.clientY, `${name}: ${count} of ${total} as ${names[column]}`);
  });
  picture.addEventListener("pointerleave", hide);
  let zoom = 1;
  for (const [label, factor] of [["Larger", 2], ["Smaller", 0.5]]) {
    const button = document.createElement("button");
    button.textContent = label;
    button.addEventListener("click", () => {
      zoom = Math.max(1, Math.min(16, zoom * factor));
      picture.style.setProperty("--zoom", zoom);
    });
    picture.parentElement.before(button);
  }
}

window.addEventListener("beforeprint", () => all("details").forEach((part) => (part.open = true)));
