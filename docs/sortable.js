// Tables of a `sortable` block: a press on a title sorts by its first number, else by text; a second press turns the order.
addEventListener("DOMContentLoaded", () => {
  for (const head of document.querySelectorAll(".sortable thead th")) {
    head.style.cursor = "pointer";
    head.tabIndex = 0;
    const sort = () => {
      const column = head.cellIndex, rising = head.getAttribute("aria-sort") !== "ascending";
      const value = row => {
        const text = row.cells[column].textContent.trim(), number = parseFloat(text);
        return Number.isNaN(number) ? text : number;
      };
      const body = head.closest("table").tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a), y = value(b);
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return rising ? order : -order;
      });
      body.append(...rows);
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  }
});
