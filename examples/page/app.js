// The whole front end: talk to the API, keep the session fresh, show one view at a time.
// Data goes in with textContent only: nothing from the server or the user becomes markup.

const LANG = document.documentElement.lang;
const stage = document.getElementById('stage');
const notice = document.getElementById('notice');

let email = ''; // the address typed last, so that nobody has to type it twice

// ---------------------------------------------------------------- API
// Never throws: a failed connection comes back as status 0.
async function send(method, path, body) {
  try {
    const response = await fetch(`/api/${path}`, {
      method,
      headers: body && { 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
      cache: 'no-store',
      signal: AbortSignal.timeout(30_000),
    });
    const { ok, status, headers } = response;
    const data = (await response.json().catch(() => null)) ?? {};
    return { ok, status, data, retryAfter: Number(headers.get('Retry-After')) };
  } catch {
    return { ok: false, status: 0, data: {} };
  }
}

const lastRefresh = () => localStorage.getItem('last-refresh');

// For calls that need a session: on 401 refresh once, then repeat the call.
// A 401 that is left after that means: the session is over.
async function call(method, path) {
  const seen = lastRefresh();
  const answer = await send(method, path);
  if (answer.status !== 401) return answer;
  const renewed = await refresh(seen);
  return renewed.ok ? send(method, path) : renewed;
}

// One refresh at a time: a refresh token may be good for one use only, so two calls (or two
// tabs, which share the cookies) must not both spend it. Who had to wait, and finds that
// there has been a refresh since the one it has seen, has nothing left to do.
let refreshing = null;
function refresh(seen) {
  const work = async () => {
    if (lastRefresh() !== seen) return { ok: true };
    const answer = await send('POST', 'auth/refresh/');
    if (answer.ok) localStorage.setItem('last-refresh', Date.now());
    return answer;
  };
  // navigator.locks is missing where the page is not served from https or localhost.
  refreshing ??= (navigator.locks?.request('auth-refresh', work) ?? work())
    .finally(() => { refreshing = null; });
  return refreshing;
}

function failureText({ status, data, retryAfter }) {
  if (status === 0) return 'We cannot reach the server. Check your connection and try again.';
  if (status === 429) return `Too many attempts in a short time. ${whenText(retryAfter)}`;
  if (status === 503) return `The service is not available right now. ${whenText(retryAfter)}`;
  if (status >= 500) return 'Something went wrong on our side. Please try again later.';
  return data.detail ?? 'That did not work. Please try again.';
}

function whenText(seconds) {
  if (!(seconds > 0)) return 'Please try again later.';
  const [amount, unit] = seconds < 100 ? [seconds, 'second'] : [Math.ceil(seconds / 60), 'minute'];
  const format = new Intl.NumberFormat(LANG, { style: 'unit', unit, unitDisplay: 'long' });
  return `Please try again in ${format.format(amount)}.`;
}

// ---------------------------------------------------------------- Showing things
const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

function show(name, { title, text } = {}) {
  const view = document.getElementById(name).content.firstElementChild.cloneNode(true);
  const heading = view.querySelector('h1');
  if (title) heading.textContent = title;
  if (text) view.querySelector('.lead').textContent = text;
  if (view.querySelector('#email')) view.querySelector('#email').value = email;
  stage.replaceChildren(view);
  notify('');
  document.title = `${heading.textContent} – auth-system`;
  heading.focus(); // tells a screen reader that the view has changed
  return view;
}

const LOG_IN = { textContent: 'Log in', href: '/#/login' };
const tryAgain = (onclick) => ({ textContent: 'Try again', onclick });

// At most one way on: properties of a link, or of a button where there is no href.
function message(title, text, way) {
  const view = show('message', { title, text });
  if (way) view.append(make(way.href ? 'a' : 'button', { className: 'button', ...way }));
  return view;
}

function wait(title) {
  const view = message(title, 'One moment, please.');
  view.classList.add('wait');
  return view;
}

function notify(text, { bad = false, link } = {}) {
  notice.textContent = text;
  notice.classList.toggle('bad', bad);
  if (link) notice.append(' ', make('a', link));
  if (text) notice.scrollIntoView({ block: 'nearest' });
}

// ---------------------------------------------------------------- Buttons and forms
// No second click while a request is under way. A disabled button loses its focus: give it back.
async function busy(button, work) {
  const buttons = stage.querySelectorAll('button');
  for (const each of buttons) each.disabled = true;
  button.setAttribute('aria-busy', 'true');
  notify('');
  const answer = await work();
  for (const each of buttons) each.disabled = false;
  button.removeAttribute('aria-busy');
  if (document.activeElement === document.body) button.focus();
  return answer;
}

function onClick(button, request, done) {
  button.addEventListener('click', async () => {
    const answer = await busy(button, request);
    if (!button.isConnected) return; // the user has gone on to another view
    if (answer.ok) done(answer);
    else if (answer.status === 401) sessionOver();
    else notify(failureText(answer), { bad: true });
  });
}

function onSubmit(view, request, done, failed = showFailure) {
  const form = view.querySelector('form');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const mistakes = findMistakes(form);
    showMistakes(form, mistakes);
    if (Object.keys(mistakes).length > 0) return;
    const values = Object.fromEntries(new FormData(form));
    email = values.email ?? email;
    const answer = await busy(form.querySelector('button'), () => request(values));
    if (!form.isConnected) return;
    if (answer.ok) done(answer);
    else failed(answer, form);
  });
}

const MISSING = {
  email: 'Enter your email address.',
  password: 'Enter your password.',
  confirm_password: 'Enter the password once more.',
};

// Only what needs no server; how good a password has to be is for the server to say.
function findMistakes(form) {
  const mistakes = {};
  for (const input of form.querySelectorAll('[name]')) {
    if (input.validity.valueMissing) mistakes[input.name] = MISSING[input.name];
    if (input.validity.typeMismatch) mistakes[input.name] = 'Use the form name@example.org.';
  }
  const { password, confirm_password: confirm } = form.elements;
  if (confirm?.value && confirm.value !== password.value) {
    mistakes.confirm_password = 'The two passwords are not the same.';
  }
  return mistakes;
}

function showMistakes(form, mistakes) {
  for (const input of form.querySelectorAll('[name]')) setMistake(input, mistakes[input.name] ?? '');
  form.querySelector('[aria-invalid=true]')?.focus();
}

function setMistake(input, text) {
  input.setAttribute('aria-invalid', text !== '');
  document.getElementById(`${input.id}-error`).textContent = text;
}

function showFailure(answer, form) {
  const mistakes = {};
  const others = []; // what the server says about something that is not a field here
  for (const [field, errors] of Object.entries(answer.data.errors ?? {})) {
    const text = errors.map((error) => error.detail).join(' ');
    if (form.elements.namedItem(field)) mistakes[field] = text;
    else others.push(text);
  }
  if (Object.keys(mistakes).length > 0) others.unshift('Please check the marked fields.');
  notify(others.join(' ') || failureText(answer), { bad: true });
  showMistakes(form, mistakes);
}

document.addEventListener('input', ({ target }) => {
  if (target.ariaInvalid === 'true') setMistake(target, '');
});

document.addEventListener('change', ({ target }) => {
  if (!target.matches('[data-reveal]')) return;
  for (const input of target.form.querySelectorAll('[autocomplete$=password]')) {
    input.type = target.checked ? 'text' : 'password';
  }
});

// ---------------------------------------------------------------- Views
function signUp() {
  onSubmit(show('signup'), (values) => send('POST', 'auth/signup/', values), () => go('/#/check-mail'));
}

function checkMail() {
  if (!email) return go('/#/resend', 'replaceState'); // after a reload: ask for the address
  const view = show('check-mail');
  view.querySelector('[data-email]').textContent = email;
  const request = () => send('POST', 'auth/resend-verification/', { email });
  onClick(view.querySelector('button'), request, ({ data }) => notify(data.detail));
}

function resend(words) {
  const request = (values) => send('POST', 'auth/resend-verification/', values);
  onSubmit(show('resend', words), request, () => go('/#/check-mail'));
}

async function verifyAccount(link = takeLink()) {
  if (!link) return resend();
  const waiting = wait('Confirming your address');
  const answer = await send('GET', `auth/verify-account/?${new URLSearchParams(link)}`);
  if (!waiting.isConnected) return;
  if (answer.ok) {
    message('Your address is confirmed', 'Thank you. You can log in now.', LOG_IN);
  } else if (answer.data.code === 'already_verified') {
    message('Already confirmed', 'Your address has been confirmed before. You can log in.', LOG_IN);
  } else if (answer.status === 400) {
    const text = 'It is incomplete or has expired. We can send you a new one.';
    resend({ title: 'This link does not work', text });
  } else {
    message('Your address is not confirmed yet', failureText(answer), tryAgain(() => verifyAccount(link)));
  }
}

function logIn() {
  // Replaces the log in view: "back" should not lead to a form that has done its work.
  const done = () => go('/#/', 'replaceState');
  const failed = (answer, form) => {
    if (answer.data.code !== 'invalid_credentials') return showFailure(answer, form);
    const link = { textContent: 'Send the confirmation mail again', href: '/#/resend' };
    notify('Email address or password is wrong, or the address is not confirmed yet.', { bad: true, link });
  };
  onSubmit(show('login'), (values) => send('POST', 'auth/login/', values), done, failed);
}

async function profile() {
  const waiting = wait('Your profile');
  const me = await call('GET', 'auth/me/');
  if (!waiting.isConnected) return;
  if (me.status === 401) return sessionOver();
  if (!me.ok) return message('Your profile is not available', failureText(me), tryAgain(profile));

  document.body.dataset.session = 'in';
  const view = show('profile');
  const [refreshButton, logOutButton] = view.querySelectorAll('button');
  view.querySelector('dl').append(...describe(me.data));
  onClick(refreshButton, () => refresh(lastRefresh()), () => notify('Your session has been refreshed.'));
  onClick(logOutButton, () => call('POST', 'auth/logout/'), () => go('/#/logged-out', 'replaceState'));

  const hello = await call('GET', 'hello');
  if (!view.isConnected) return;
  if (hello.status === 401) return sessionOver();
  view.querySelector('[data-hello]').textContent = hello.ok ? hello.data.message : failureText(hello);
}

function describe(user) {
  const time = new Intl.DateTimeFormat(LANG, { dateStyle: 'long', timeStyle: 'short' });
  const rows = {
    'Email address': `${user.email} (${user.email_verified ? 'confirmed' : 'not confirmed'})`,
    'Username': user.username ?? 'None',
    'Member since': time.format(new Date(user.created_at)),
    'Last login': user.last_login_at ? time.format(new Date(user.last_login_at)) : 'Never',
    'Account ID': user.id,
    ...user.attributes,
  };
  return Object.entries(rows).flatMap(([term, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return [make('dt', { textContent: term }), make('dd', { textContent: text })];
  });
}

function loggedOut() {
  email = ''; // the next one at this computer may be somebody else
  document.body.dataset.session = 'out';
  message('You are logged out', 'See you soon.', { ...LOG_IN, textContent: 'Log in again' });
}

function forgot() {
  const view = show('resend', { title: 'Forgot your password?', text: 'We send you a link to set a new one.' });
  onSubmit(view, (values) => send('POST', 'auth/password-reset/', values), ({ data }) => {
    message('Check your mail', data.detail, LOG_IN);
  });
}

function resetPassword() {
  const link = takeLink();
  if (!link) return message('This link is incomplete', 'Please open the link in your mail again.', LOG_IN);
  const request = (values) => send('POST', 'auth/password-reset-confirm/', { ...link, ...values });
  const done = () => message('Your password has been changed', 'You can log in with the new one.', LOG_IN);
  const failed = (answer, form) => {
    const { code, errors = {} } = answer.data;
    if (code !== 'link_invalid' && !errors.uid && !errors.token) return showFailure(answer, form);
    const newLink = { textContent: 'Get a new link', href: '/#/forgot' };
    message('This link does not work', 'It is incomplete, was used before or has expired.', newLink);
  };
  onSubmit(show('reset'), request, done, failed);
}

// The secret of a mail link must not stay in the address bar and the history.
function takeLink() {
  const { uid, token } = Object.fromEntries(new URLSearchParams(location.search));
  history.replaceState(null, '', location.pathname);
  return uid && token ? { uid, token } : null;
}

// ---------------------------------------------------------------- Where we are
// data-session only decides what the header offers; who may do what is up to the server.
function sessionOver() {
  const wasIn = document.body.dataset.session === 'in';
  document.body.dataset.session = 'out';
  go('/#/login', 'replaceState');
  if (wasIn) notify('Your session has ended. Please log in again.');
}

const VIEWS = {
  '/verify-account': verifyAccount,
  '/password-reset-confirm': resetPassword,
  '/#/signup': signUp,
  '/#/check-mail': checkMail,
  '/#/resend': resend,
  '/#/login': logIn,
  '/#/forgot': forgot,
  '/#/logged-out': loggedOut,
};

function go(url, how = 'pushState') {
  history[how](null, '', url);
  route();
}

function route() {
  const here = location.pathname + (location.hash || '#/');
  const view = VIEWS[location.pathname] ?? VIEWS[here] ?? profile;
  if (view !== profile) document.body.dataset.session ??= 'out';
  for (const link of document.querySelectorAll('nav a')) {
    link.ariaCurrent = link.getAttribute('href') === here ? 'page' : null;
  }
  view();
}

addEventListener('popstate', route); // "back", "forward" and links to a #hash
route();
