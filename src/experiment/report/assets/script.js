"use strict";
// The page is whole without this: it only lets a reader pick a class on the map by its name.
for (const map of document.querySelectorAll(".map")) {
  const points = map.querySelectorAll(".point");
  for (const entry of map.querySelectorAll(".legend li")) {
    const pick = (on) => {
      map.classList.toggle("picked", on);
      for (const point of points) point.classList.toggle("pick", on && point.dataset.class === entry.dataset.class);
    };
    entry.tabIndex = 0;
    entry.addEventListener("mouseenter", () => pick(true));
    entry.addEventListener("mouseleave", () => pick(false));
    entry.addEventListener("focus", () => pick(true));
    entry.addEventListener("blur", () => pick(false));
  }
}
