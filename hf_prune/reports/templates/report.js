"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const get = (id) => document.getElementById(id);
  const said = get("said");
  let quiet;
  const say = (words) => {
    said.textContent = words;
    clearTimeout(quiet);
    quiet = setTimeout(() => { said.textContent = ""; }, 4000);
  };

  // Where the clipboard is not offered, as on pages without https, the text is copied from a field.
  const copyByField = (text) => {
    const field = document.createElement("textarea");
    const before = document.activeElement;
    field.value = text;
    field.className = "off";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (before) before.focus();
    return done;
  };
  const copy = async (row) => {
    let done = false;
    try {
      await navigator.clipboard.writeText(row);
      done = true;
    } catch { done = copyByField(row); }
    say(done ? `Row number ${row} copied` : `Row number ${row}`);
  };
  document.addEventListener("click", (event) => {
    const found = event.target.closest("[data-row]");
    if (found) copy(found.dataset.row);
  });

  const form = get("filter");
  if (form) {
    const byClass = get("by-class");
    const byReason = get("by-reason");
    const tiles = all("#galleries .tile");
    const apply = () => {
      const code = byClass ? byClass.value : "";
      const reason = byReason.value;
      let shown = 0;
      for (const tile of tiles) {
        const fits = (!code || tile.dataset.class === code) && (!reason || tile.dataset.reason === reason);
        tile.hidden = !fits || (tile.classList.contains("extra") && !code);
        shown += !tile.hidden;
      }
      for (const group of all("#galleries .group")) {
        const count = all(".tile", group).filter((tile) => !tile.hidden).length;
        group.querySelector(".n").textContent = `(${count})`;
        group.hidden = !count;
      }
      get("count").textContent = `${shown} images`;
    };
    form.addEventListener("change", apply);
    form.addEventListener("reset", () => setTimeout(apply));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    apply();
  }

  const value = (cell) => {
    const text = cell.textContent.trim();
    const number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };
  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = all("tbody tr", table).map((row) => [value(row.cells[column]), row]);
        rows.sort(([one], [two]) => (typeof one === typeof two ? (one < two ? -1 : one > two ? 1 : 0)
          : typeof one === "number" ? -1 : 1));
        if (down) rows.reverse();
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }
})();
