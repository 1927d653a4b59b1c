// Shows one view at a time, and goes from one to the next.
// Nothing from the server or the user becomes markup: texts go in as texts.

const stage = document.getElementById('stage');

// What was typed last, so that nobody has to type it twice.
export const typed = { email: '' };

// An element, its properties or attributes, and what is inside: elements and texts.
export function make(tag, properties = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

// `lead` is a text, or a list of texts and elements.
export function show(title, lead, ...inside) {
  const heading = make('h1', { tabIndex: -1 }, title);
  const view = make('section', {}, heading);
  if (lead) {
    heading.setAttribute('aria-describedby', 'lead');
    view.append(make('p', { className: 'lead', id: 'lead' }, ...[lead].flat()));
  }
  view.append(...inside);
  stage.replaceChildren(view);
  scrollTo(0, 0);
  notify('');
  document.title = `${title} – auth-system`;
  heading.focus(); // tells a screen reader that the view has changed
  return view;
}

export const link = (text, href, className = '') => make('a', { href, className }, text);
export const LOG_IN = ['Log in', '/#/login'];
export const PROFILE = ['Your profile', '/#/'];

// A result, and at most one way on: a text with an address or with what to do.
export function message(title, text, way) {
  if (!way) return show(title, text);
  const [label, onward] = way;
  const control = typeof onward === 'string'
    ? link(label, onward, 'button')
    : make('button', { onclick: onward }, label);
  return show(title, text, control);
}

export function wait(title) {
  const view = message(title, 'One moment, please.');
  view.classList.add('wait');
  return view;
}

// In the open dialog, if there is one: nothing behind it is read out.
export function notify(text, { bad = false, more } = {}) {
  const notice = document.querySelector('dialog[open] .notice') ?? document.getElementById('notice');
  notice.textContent = text;
  notice.classList.toggle('bad', bad);
  if (more) notice.append(' ', more);
  if (text) notice.scrollIntoView({ block: 'nearest' });
}

export function go(url, how = 'pushState') {
  history[how](null, '', url);
  dispatchEvent(new PopStateEvent('popstate')); // app.js listens
}

// data-session only decides what the header offers; who may do what is up to the server.
export function setSession(state) {
  document.body.dataset.session = state;
}

export function sessionOver() {
  const wasIn = document.body.dataset.session === 'in';
  setSession('out');
  go('/#/login', 'replaceState');
  if (wasIn) notify('Your session has ended. Please log in again.');
}
