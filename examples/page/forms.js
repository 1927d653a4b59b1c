// Fields, forms and buttons: one way to build, check, send and report, for all views.

import { failureText } from './api.js';
import { make, notify, sessionOver, typed } from './view.js';

const PASSWORD = { type: 'password', autocomplete: 'current-password' };
const NEW_PASSWORD = { type: 'password', autocomplete: 'new-password' };
const GOOD_PASSWORD = 'A few unrelated words are easy to keep in mind and hard to guess.';
const EMAIL = { type: 'email', autocomplete: 'email', autocapitalize: 'none', spellcheck: false };
const CODE = { autocomplete: 'one-time-code', autocapitalize: 'characters', spellcheck: false };

// Fields by what they are for; `extra` are further properties, a value for instance.
export const email = ({ name = 'email', label = 'Email address', ...extra } = {}) => field(name, label, {
  ...EMAIL, missing: 'Enter your email address.', value: typed.email, ...extra,
});
export const password = ({ name = 'password', label = 'Password', ...extra } = {}) => field(name, label, {
  ...PASSWORD, missing: 'Enter your password.', ...extra,
});
export const code = ({ name = 'code', label = 'Code', ...extra } = {}) => field(name, label, {
  ...CODE, missing: 'Enter the code.', ...extra,
});
export const DIGITS = { inputMode: 'numeric', hint: 'The six digits that your authenticator shows now.' };
export const text = (name, label, extra) => field(name, label, { type: 'text', required: false, ...extra });

// A new password twice, as `name` and `confirm_password`.
export const newPassword = (name, label) => [
  field(name, label, { ...NEW_PASSWORD, hint: GOOD_PASSWORD, missing: 'Enter a new password.' }),
  field('confirm_password', `${label} once more`, {
    ...NEW_PASSWORD, missing: 'Enter the password once more.', 'data-same-as': name,
  }),
].flat();

function field(name, label, { id = name, hint, missing, ...properties }) {
  const described = hint ? `${id}-hint ${id}-error` : `${id}-error`;
  const input = make('input', { id, name, required: true, 'aria-describedby': described, ...properties });
  if (missing) input.dataset.missing = missing;
  return [
    make('label', { htmlFor: id }, label),
    ...(hint ? [make('p', { className: 'hint', id: `${id}-hint` }, hint)] : []),
    input,
    make('p', { className: 'error', id: `${id}-error` }),
  ];
}

export function tick(name, label, missing) {
  const input = make('input', { type: 'checkbox', id: name, name, required: true,
    'data-missing': missing, 'aria-describedby': `${name}-error` });
  return [
    make('label', { className: 'check' }, input, ` ${label}`),
    make('p', { className: 'error', id: `${name}-error` }),
  ];
}

function reveal(passwords) {
  const setType = ({ target }) => {
    for (const input of passwords) input.type = target.checked ? 'text' : 'password';
  };
  const words = passwords.length > 1 ? 'Show passwords' : 'Show password';
  const box = make('input', { type: 'checkbox', 'data-reveal': '', onchange: setType });
  return make('label', { className: 'check' }, box, ` ${words}`);
}

// method="post", so that no value gets into an address, whatever happens.
export function form(fields, label, request, done, failed = showFailure) {
  const button = make('button', {}, label);
  const element = make('form', { method: 'post', noValidate: true }, ...fields);
  const passwords = element.querySelectorAll('[type=password]');
  if (passwords.length > 0) element.append(reveal(passwords));
  element.append(button);
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    const mistakes = findMistakes(element);
    showMistakes(element, mistakes);
    if (Object.keys(mistakes).length > 0) return;
    const values = Object.fromEntries(new FormData(element));
    typed.email = values.email ?? typed.email;
    const answer = await busy(button, () => request(values));
    if (!element.isConnected) return; // the user has gone on to another view
    if (answer.ok) done(answer, element);
    else if (answer.over) sessionOver();
    else failed(answer, element);
  });
  return element;
}

export const notifyFailure = (answer) => notify(failureText(answer), { bad: true });

export function button(label, request, done, { failed = notifyFailure, ...properties } = {}) {
  const element = make('button', { className: 'quiet', ...properties }, label);
  element.addEventListener('click', async () => {
    const answer = await busy(element, request);
    if (!element.isConnected) return;
    if (answer.ok) done(answer);
    else if (answer.over) sessionOver();
    else failed(answer);
  });
  return element;
}

// No second click while a request is under way. A disabled button loses its focus: give it back.
async function busy(button, work) {
  const buttons = button.closest('section, dialog').querySelectorAll('button');
  for (const each of buttons) each.disabled = true;
  button.setAttribute('aria-busy', 'true');
  notify('');
  const answer = await work();
  for (const each of buttons) each.disabled = false;
  button.removeAttribute('aria-busy');
  if (document.activeElement === document.body) button.focus();
  return answer;
}

// Only what needs no server; how good a password has to be is for the server to say.
function findMistakes(form) {
  const mistakes = {};
  for (const input of form.querySelectorAll('[name]')) {
    if (input.validity.valueMissing) mistakes[input.name] = input.dataset.missing;
    if (input.validity.typeMismatch) mistakes[input.name] = 'Use the form name@example.org.';
    const { sameAs } = input.dataset;
    if (sameAs && input.value && input.value !== form.elements[sameAs].value) {
      mistakes[input.name] = 'The two passwords are not the same.';
    }
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

// Refusals that are about one field, though the server does not say so.
const ABOUT = {
  invalid_credentials: ['password', 'This password is wrong.'],
  invalid_code: ['code', 'This code is wrong, was used before or has expired.'],
};

export function showFailure(answer, form) {
  const mistakes = {};
  const others = []; // what the server says about something that is not a field here
  for (const [field, errors] of Object.entries(answer.data.errors ?? {})) {
    const text = errors.map((error) => error.detail).join(' ');
    if (form.elements.namedItem(field)) mistakes[field] = text;
    else others.push(text);
  }
  const [field, text] = ABOUT[answer.data.code] ?? [];
  if (field && form.elements.namedItem(field)) mistakes[field] = text;
  if (Object.keys(mistakes).length > 0) others.unshift('Please check the marked fields.');
  notify(others.join(' ') || failureText(answer), { bad: true });
  showMistakes(form, mistakes);
}

document.addEventListener('input', ({ target }) => {
  if (target.ariaInvalid === 'true') setMistake(target, '');
});
