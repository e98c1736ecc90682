"use strict";
// Picks a window and shows its row of the table as a card. Everything it shows is cloned from the page; no text is parsed.
document.documentElement.classList.add("js");
for (const section of document.querySelectorAll(".timeline")) {
  const lanes = section.querySelector(".lanes"), range = section.querySelector("input[type=range]");
  const card = section.querySelector(".inspector"), rows = [...section.querySelectorAll("tbody tr")];
  const heads = [...section.querySelectorAll("thead th")].map(th => th.textContent);
  const film = [...section.querySelectorAll(".film img")];
  const overlay = section.querySelector(".overlay"), wide = section.querySelector(".zoom input");

  const block = (title, nodes) => {
    const div = document.createElement("div"), h = document.createElement("h4");
    h.textContent = title;
    div.append(h, ...nodes);
    return div;
  };
  const show = i => {
    const row = rows[i], left = Number(row.dataset.left);
    overlay.style.setProperty("--at", left + "%");
    overlay.style.setProperty("--w", row.dataset.width + "%");
    const shot = film.filter(img => parseFloat(img.style.left) <= left + 0.01).pop();
    const blocks = [...row.cells].map((cell, k) => block(heads[k], [...cell.cloneNode(true).childNodes]));
    if (shot) blocks[0].append(Object.assign(new Image(), { src: shot.src, alt: shot.alt }));
    card.replaceChildren(...blocks);
    range.setAttribute("aria-valuetext", row.cells[0].textContent.trim() + ", " + row.cells[1].querySelector("strong").textContent);
  };
  range.addEventListener("input", () => show(range.valueAsNumber));
  lanes.addEventListener("click", event => {
    const box = overlay.getBoundingClientRect(), x = 100 * (event.clientX - box.left) / box.width;
    const i = rows.findLastIndex(row => Number(row.dataset.left) <= x);
    if (x >= 0 && i >= 0) { range.value = i; show(i); }
  });
  if (wide) wide.addEventListener("change", () => lanes.classList.toggle("wide", wide.checked));
  show(0);
}
