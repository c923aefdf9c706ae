// @ts-check
// A plain script in the head, so that the stored theme holds before anything is drawn.
(() => {
  const KEY = 'weir.theme';
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');

  /** @returns {'light' | 'dark'} */
  function shown() {
    const chosen = root.dataset.theme;
    if (chosen === 'light' || chosen === 'dark') return chosen;
    return dark.matches ? 'dark' : 'light';
  }

  /** Says on each toggle what a click brings. */
  function label() {
    const next = shown() === 'dark' ? 'light' : 'dark';
    for (const toggle of document.querySelectorAll('[data-theme-toggle]')) {
      toggle.setAttribute('aria-label', `Use the ${next} theme`);
      toggle.setAttribute('title', `Use the ${next} theme`);
      toggle.querySelector('use')?.setAttribute(
        'href', `/assets/icons.svg#${next === 'dark' ? 'moon' : 'sun'}`);
    }
  }

  /** Storage may be refused; then the choice lasts as long as the page. */
  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  const chosen = stored();
  if (chosen === 'light' || chosen === 'dark') root.dataset.theme = chosen;

  document.addEventListener('DOMContentLoaded', () => {
    label();
    document.addEventListener('click', (event) => {
      if (!(event.target instanceof Element) || !event.target.closest('[data-theme-toggle]')) return;
      const next = shown() === 'dark' ? 'light' : 'dark';
      root.dataset.theme = next;
      try {
        localStorage.setItem(KEY, next);
      } catch {
        // As above.
      }
      label();
    });
    dark.addEventListener('change', label);
  });
})();
