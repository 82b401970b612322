"use strict";
// Draws the figures with the page's colours, and again when these change (dark mode, print).
(() => {
  const figures = [...document.querySelectorAll("script[data-plot]")].map((data) => ({
    element: document.getElementById(data.dataset.plot),
    json: data.textContent,
  }));
  const colours = JSON.parse(document.getElementById("colours").textContent);
  if (typeof Plotly === "undefined") {
    // The page was taken out of its comparison's folder, where the script is.
    for (const { element } of figures)
      element.textContent = "Not drawn: plotly-….min.js of the comparison's folder is not there.";
    return;
  }
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const narrow = window.innerWidth < 640;
    for (const { element, json } of figures) {
      const figure = JSON.parse(json, (_, value) =>
        Object.hasOwn(colours, value) ? style.getPropertyValue(colours[value]).trim() : value,
      );
      if (narrow) figure.layout.font.size = 11;
      Plotly.react(element, figure.data, figure.layout, { displayModeBar: false, responsive: true });
    }
  };
  draw();
  for (const query of ["(prefers-color-scheme: dark)", "print"])
    matchMedia(query).addEventListener("change", draw);
})();
