// Calls and views for whoever is logged in.

import { failureText, send, sendInSession } from './api.js';
import { DIGITS, button, code, form, password } from './forms.js';
import { go, make, message, sessionOver, setSession, wait } from './view.js';

// As sendInSession, but where the server wants to know again who this is: ask, and repeat the call.
export async function call(method, path, body) {
  const answer = await sendInSession(method, path, body);
  if (answer.data?.code !== 'reauthentication_required') return answer;
  return (await confirmUser(answer.data.accepts)) ? sendInSession(method, path, body) : answer;
}

// Asks for the password where it is enough, else for a code. Resolves when the dialog is closed: whether it was right.
function confirmUser(accepts) {
  const asksPassword = accepts.includes('password');
  const field = asksPassword ? password({ id: 'ask-password' }) : code({ ...DIGITS, id: 'ask-code' });
  const what = asksPassword ? 'your password' : 'a code of your authenticator';
  return new Promise((resolve) => {
    const request = (values) => sendInSession('POST', 'auth/reauthenticate/', values);
    const dialog = make('dialog', { 'aria-labelledby': 'ask-title' },
      make('h2', { id: 'ask-title' }, 'Is it still you?'),
      make('p', {}, `Your login was a while ago. Please enter ${what} to go on.`),
      form(field, 'Go on', request, () => dialog.close('yes')),
      make('button', { className: 'quiet', onclick: () => dialog.close() }, 'Cancel'),
      make('p', { className: 'notice', role: 'status' }));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// What is read, too, and is no failure: that two-factor login is off, or has to be turned on first.
const WITHOUT_FACTOR = ['two_factor_disabled', 'second_factor_required'];

// A view that begins with something only a session can read.
export function withSession(title, path, render) {
  return async function view() {
    const waiting = wait(title);
    const answer = await call('GET', path);
    if (!waiting.isConnected) return;
    if (answer.over) return sessionOver();
    if (answer.ok || WITHOUT_FACTOR.includes(answer.data.code)) {
      setSession('in');
      render(answer);
    } else {
      message(`${title} is not available`, failureText(answer), ['Try again', view]);
    }
  };
}

export const logOutButton = () =>
  button('Log out', () => call('POST', 'auth/logout/'), () => go('/#/logged-out', 'replaceState'));
