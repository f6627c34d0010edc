"use strict";
// Tables sort by any column. A heading is a button, so that the keyboard reaches it; missing values stay last.
const sortable = (table) => {
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
};
document.querySelectorAll("table.sortable").forEach(sortable);

// Parts that are closed travel packed: they are unpacked when they are opened, or when a link leads into them.
const inflate = async (text) => {
  const packed = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const unpackPart = async (part) => {
  const packed = part.querySelector(":scope > script.packed");
  if (!packed) return;
  const text = packed.textContent;
  packed.remove();
  const holder = document.createElement("div");
  holder.innerHTML = await inflate(text);
  part.append(...holder.childNodes);
  part.querySelectorAll("table.sortable").forEach(sortable);
};
addEventListener("toggle", (event) => { if (event.target.open) unpackPart(event.target); }, true);

// A link to something inside a closed part opens that part.
const reveal = async () => {
  const id = decodeURIComponent(location.hash.slice(1));
  if (!id) return;
  for (const packed of document.querySelectorAll("script.packed")) {
    if (document.getElementById(id)) break;
    await unpackPart(packed.parentElement);
  }
  const target = document.getElementById(id);
  for (let part = target && target.closest("details"); part; part = part.parentElement.closest("details")) {
    await unpackPart(part);
    part.open = true;
  }
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();

// The contents list marks the section that is read.
const entries = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const mark = () => {
  let current = null;
  for (const [id] of entries) {
    const section = document.getElementById(id);
    if (section && section.getBoundingClientRect().top < innerHeight / 3) current = id;
  }
  for (const [id, link] of entries) {
    if (id !== current) link.removeAttribute("aria-current");
    else if (!link.hasAttribute("aria-current")) {
      link.setAttribute("aria-current", "true");
      const nav = link.parentElement;
      nav.scrollTo({ left: link.offsetLeft - 40, top: link.offsetTop - 40 });
    }
  }
};
addEventListener("scroll", mark, { passive: true });
mark();

// Every run a point. The library is unpacked when the plot is first opened.
const part = document.getElementById("explore");
const unpack = async () => {
  for (const library of document.querySelectorAll("script.library")) {
    const script = document.createElement("script");
    script.textContent = await inflate(library.textContent);
    document.head.append(script);
  }
};
const MARKERS = ["circle", "square", "triangle", "diamond", "inverted_triangle", "star", "hex", "plus"];
const explore = async () => {
  const data = JSON.parse(await inflate(document.getElementById("points").textContent));
  const [task, x, y] = ["task", "x", "y"].map((name) => document.getElementById(`explore-${name}`));
  const plot = document.getElementById("explore-plot"), chosen = document.getElementById("explore-run");
  const fill = (select, options, start) => {
    for (const [value, label] of options) select.add(new Option(label, value, false, value === start));
  };
  fill(task, Object.keys(data.tasks).map((name) => [name, name.replaceAll("_", " ")]));
  fill(x, Object.entries(data.axes), data.start.x);
  fill(y, Object.entries(data.axes), data.start.y);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = async () => {
    const style = getComputedStyle(document.documentElement);
    const [ink, line, paper] = ["--ink", "--line", "--paper"].map((name) => style.getPropertyValue(name).trim());
    const kind = (select) => (data.logarithmic.includes(select.value) ? "log" : "linear");
    const figure = Bokeh.Plotting.figure({
      tools: "pan,wheel_zoom,box_zoom,reset,save,tap", sizing_mode: "stretch_width", height: 480,
      x_axis_type: kind(x), y_axis_type: kind(y), x_axis_label: data.axes[x.value], y_axis_label: data.axes[y.value],
      background_fill_color: paper, border_fill_color: paper, outline_line_color: line,
    });
    Object.entries(data.tasks[task.value]).forEach(([name, runs], rank) => {
      const columns = { ...runs, x: runs[x.value], y: runs[y.value], line: runs.key.map(() => name) };
      const source = new Bokeh.ColumnDataSource({ data: columns });
      figure.scatter({ field: "x" }, { field: "y" }, {
        source, marker: MARKERS[rank % MARKERS.length], size: 8, alpha: 0.75, legend_label: name,
        color: data.colours[rank % data.colours.length][+dark.matches],
      });
      source.selected.change.connect(() => {
        const [at] = source.selected.indices;
        if (at !== undefined) chosen.textContent = `${name}, depth ${runs.depth[at]}, seed ${runs.seed[at]}: run ${runs.key[at]}`;
      });
    });
    figure.add_tools(new Bokeh.HoverTool({
      tooltips: [["network", "@line"], ["depth", "@depth"], ["seed", "@seed"], ["x, y", "@x, @y"], ["run", "@key"]],
    }));
    for (const axis of [...figure.below, ...figure.left]) {
      Object.assign(axis, { axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: line });
    }
    for (const grid of figure.center) {
      if ("grid_line_color" in grid) grid.grid_line_color = line;
      if ("label_text_color" in grid) {
        Object.assign(grid, { background_fill_color: paper, label_text_color: ink, click_policy: "hide" });
        figure.add_layout(grid, "below");
      }
    }
    plot.replaceChildren();
    await Bokeh.Plotting.show(figure, plot);
  };
  for (const select of [task, x, y]) select.addEventListener("change", draw);
  dark.addEventListener("change", draw);
  await draw();
};
if (part) {
  part.addEventListener("toggle", async () => {
    if (!part.open || part.dataset.drawn) return;
    part.dataset.drawn = "loading";
    await unpack();
    await explore();
    part.dataset.drawn = "yes";
  });
}
