// Signing up, and the mail that confirms the address.

import { send } from './api.js';
import { button, email, form, newPassword } from './forms.js';
import { go, link, make, notify, show, typed } from './view.js';

export function signUp() {
  const request = (values) => send('POST', 'auth/signup/', values);
  show('Create your account', ['Already have one? ', link('Log in', '/#/login')],
    form([...email(), ...newPassword('password', 'Password')], 'Sign up', request, () => go('/#/check-mail')));
}

export function checkMail() {
  const address = typed.email;
  if (!address) return go('/#/resend', 'replaceState'); // after a reload: ask for the address
  const request = () => send('POST', 'auth/resend-verification/', { email: address });
  show('Check your mail',
    ['Open the link in the mail to ', make('strong', {}, address), ' to confirm your address.'],
    make('p', {}, 'It can take a minute to arrive. If you cannot find it, look in your spam folder.'),
    button('Send again', request, ({ data }) => notify(data.detail)));
}

const LOST = 'Open the link in the mail we sent you. If it is lost or has expired, we can send you a new one.';

export function resend(title = 'Confirm your address', text = LOST) {
  const request = (values) => send('POST', 'auth/resend-verification/', values);
  show(title, text, form(email(), 'Send a link', request, () => go('/#/check-mail')));
}
