// Runs before anything is drawn, so that nobody who chose dark sees a white flash. It must stay tiny.

try {
  const chosen = localStorage.getItem("framecue.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}
