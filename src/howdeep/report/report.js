"use strict";
// Tables sort by any column. A heading is a button, so that the keyboard reaches it; missing values stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead button").forEach((button) => {
    button.addEventListener("click", () => {
      const heading = button.parentElement, column = heading.cellIndex;
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const by = (row) => row.cells[column].dataset.by;
      const missing = (value) => value === "nan" || value === "";
      const compare = (a, b) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort((a, b) => compare(by(a), by(b))));
    });
  });
}

// A link to something inside a closed part opens that part.
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target && target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.printed")) part.open = true;
});

// Every run a point. The library is unpacked when the plot is first opened.
const part = document.getElementById("explore");
const unpack = async () => {
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
};
const explore = () => {
  const data = JSON.parse(document.getElementById("points").textContent);
  const [task, x, y] = ["task", "x", "y"].map((name) => document.getElementById(`explore-${name}`));
  const plot = document.getElementById("explore-plot"), chosen = document.getElementById("explore-run");
  const fill = (select, options, start) => {
    for (const [value, label] of options) select.add(new Option(label, value, false, value === start));
  };
  fill(task, Object.keys(data.tasks).map((name) => [name, name.replaceAll("_", " ")]));
  fill(x, Object.entries(data.axes), data.start.x);
  fill(y, Object.entries(data.axes), data.start.y);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const [ink, line, paper] = ["--ink", "--line", "--paper"].map((name) => style.getPropertyValue(name).trim());
    const traces = Object.entries(data.tasks[task.value]).map(([name, runs], rank) => ({
      name, x: runs[x.value], y: runs[y.value], mode: "markers", type: "scatter",
      marker: { size: 8, opacity: 0.75, symbol: rank % 8, color: data.colours[rank % data.colours.length][+dark.matches] },
      customdata: runs.key.map((key, at) => [key, runs.depth[at], runs.seed[at]]),
      hovertemplate: `${name}<br>depth %{customdata[1]}, seed %{customdata[2]}<br>%{x:.4g}, %{y:.4g}` +
        "<br>run %{customdata[0]}<extra></extra>",
    }));
    const axis = (select) => ({
      title: { text: data.axes[select.value] }, gridcolor: line, zerolinecolor: line, automargin: true,
      type: data.logarithmic.includes(select.value) ? "log" : "linear",
    });
    const layout = {
      xaxis: axis(x), yaxis: axis(y), paper_bgcolor: paper, plot_bgcolor: paper, font: { color: ink },
      margin: { t: 16, r: 16 }, legend: { orientation: "h", y: -0.25 }, hovermode: "closest", showlegend: true,
    };
    Plotly.react(plot, traces, layout, { responsive: true, displaylogo: false });
  };
  for (const select of [task, x, y]) select.addEventListener("change", draw);
  dark.addEventListener("change", draw);
  draw();
  plot.on("plotly_click", ({ points: [point] }) => {
    const [key, depth, seed] = point.customdata;
    chosen.textContent = `${point.data.name}, depth ${depth}, seed ${seed}: run ${key}`;
  });
};
if (part) {
  part.addEventListener("toggle", async () => {
    if (!part.open || part.dataset.drawn) return;
    part.dataset.drawn = "loading";
    await unpack();
    explore();
    part.dataset.drawn = "yes";
  });
}
