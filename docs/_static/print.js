// On paper, answers and folded code are open, and the colours are those of the light mode.
const page = document.documentElement;
let folded, mode;

addEventListener("beforeprint", () => {
  folded = document.querySelectorAll("details:not([open])");
  mode = page.dataset.theme;
  folded.forEach((each) => (each.open = true));
  page.dataset.theme = "light";
});

addEventListener("afterprint", () => {
  folded.forEach((each) => (each.open = false));
  page.dataset.theme = mode;
});
