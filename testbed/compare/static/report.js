// Adds what paper cannot: tables that sort, and a pointer that reads the charts. All of it may fail.
"use strict";
const axes = JSON.parse(document.getElementById("axes").textContent);
const hint = document.createElement("div");
hint.className = "hint";
document.body.append(hint);

for (const figure of document.querySelectorAll("figure")) {
  const plot = figure.querySelector(".plot"), hair = figure.querySelector(".hair");
  let numbers;
  const move = (event) => {
    numbers ??= JSON.parse(figure.querySelector("script").textContent);
    const names = axes[numbers.axis], box = plot.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    const at = Math.round(share * (names.length - 1));
    hair.style.display = hint.style.display = "block";
    hair.style.left = (100 * at) / Math.max(names.length - 1, 1) + "%";
    const rows = numbers.layers.map((layer) => {
      const value = layer.values[at];
      return layer.name + ": " + (value === null ? "–" : value + " " + numbers.unit);
    });
    hint.textContent = [names[at], ...rows].join("\n");
    const left = Math.min(event.clientX + 14, window.innerWidth - hint.offsetWidth - 8);
    hint.style.left = Math.max(left, 4) + "px";
    hint.style.top = Math.max(event.clientY - hint.offsetHeight - 12, 4) + "px";
  };
  const leave = () => { hair.style.display = hint.style.display = "none"; };
  plot.addEventListener("pointermove", move);
  plot.addEventListener("pointerdown", move);
  plot.addEventListener("pointerleave", leave);
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = (row) => row.children[column].dataset.value;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const one = key(a), other = key(b);
        if (one === "" || other === "") return (one === "") - (other === "");
        const order = column === 0 ? one.localeCompare(other) : one - other;
        return falls ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// A link to a contract opens it.
const open = () => {
  const found = location.hash && document.getElementById(location.hash.slice(1));
  if (found && found.tagName === "DETAILS") found.open = true;
};
window.addEventListener("hashchange", open);
open();
