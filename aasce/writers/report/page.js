"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const table = find("films");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const headings = Array.from(table.tHead.rows[0].cells);

  const value = (row, column, kind) => {
    const text = row.cells[column].dataset.value;
    if (kind === "text") return text.toLowerCase();
    return text === "" ? null : Number(text);
  };

  // Missing values stay at the end both ways; equal ones keep the order of the page.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  };

  const sort = (heading, kind) => {
    const column = heading.cellIndex;
    const first = kind === "number" ? "descending" : "ascending";
    const other = kind === "number" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    const keyed = rows.map((row) => [value(row, column, kind), Number(row.dataset.number), row]);
    const sign = order === "ascending" ? 1 : -1;
    keyed.sort((a, b) => compare(a[0], b[0], sign) || a[1] - b[1]);
    headings.forEach((cell) => cell.hasAttribute("aria-sort") && cell.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", order);
    body.append(...keyed.map((entry) => entry[2]));
  };

  headings.forEach((heading) => {
    const button = heading.querySelector("button");
    if (button) button.addEventListener("click", () => sort(heading, button.dataset.kind));
  });

  const filter = () => {
    const words = find("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const severity = find("severity").value;
    const flagged = find("flagged").checked;
    let shown = 0;
    rows.forEach((row) => {
      const wanted =
        words.every((word) => texts.get(row).includes(word)) &&
        (severity === "" || row.dataset.severity === severity) &&
        (!flagged || row.dataset.flagged === "1");
      row.hidden = !wanted;
      shown += wanted;
    });
    find("shown").textContent = `${shown} of ${rows.length} films`;
    find("nothing").hidden = shown > 0;
  };

  find("filters").addEventListener("input", filter);
  find("filters").addEventListener("submit", (event) => event.preventDefault());

  const viewer = find("viewer");
  let current = null;
  const name = (row) => row.cells[1].dataset.value;

  // A picture is base64 text until it is opened: 500 of them cost no decoding.
  const show = (row) => {
    const held = Array.from(document.querySelectorAll("script[data-film]")).find(
      (script) => script.dataset.film === name(row),
    );
    if (!held) return;
    const lines = Array.from(row.querySelectorAll(".curves li")).slice(0, 3);
    const words = lines.map((line) => line.textContent).join("; ") || row.querySelector(".flags").textContent;
    current = row;
    find("viewer-title").textContent = name(row);
    find("words").textContent = words;
    find("overlay").alt = `Overlay of ${name(row)}: ${words}`;
    find("overlay").src = `data:image/jpeg;base64,${held.textContent}`;
    if (!viewer.open) viewer.showModal();
  };

  const step = (way) => {
    const visible = Array.from(body.rows).filter((row) => !row.hidden && row.querySelector(".open"));
    const next = visible[visible.indexOf(current) + way];
    if (next) show(next);
  };

  body.addEventListener("click", (event) => {
    const button = event.target.closest(".open");
    if (button) show(button.closest("tr"));
  });
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));
  find("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  viewer.addEventListener("close", () => {
    find("overlay").removeAttribute("src");
    if (current) current.querySelector(".open").focus();
  });
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((part) => part.setAttribute("open", ""));
  });
})();
