/** Light or dark: as the system, until somebody chooses. Only a choice is kept in the browser. */

import { byId } from "./elements.js";

const KEY = "shoptalk-theme";

export function followTheme() {
  const choice = byId("theme");
  choice.value = localStorage.getItem(KEY) ?? "";
  apply(choice.value);
  choice.addEventListener("change", () => {
    apply(choice.value);
    if (choice.value) {
      localStorage.setItem(KEY, choice.value);
    } else {
      localStorage.removeItem(KEY);
    }
  });
}

/** @param {string} theme empty: the system's */
function apply(theme) {
  document.documentElement.dataset.theme = theme;
}
