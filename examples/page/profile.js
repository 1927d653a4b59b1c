// The own account: what it holds, and each way to change it.

import { failureText, refresh } from './api.js';
import { button, email, form, newPassword, password, text, tick } from './forms.js';
import { call, logOutButton, withSession } from './session.js';
import { PROFILE, go, link, make, message, notify, sessionOver, setSession, show, typed } from './view.js';

const LABELS = { first_name: 'First name', last_name: 'Last name' };

const WAYS = {
  '/#/edit': 'Edit your profile',
  '/#/password': 'Change your password',
  '/#/email': 'Change your email address',
  '/#/two-factor': 'Two-factor login',
  '/#/deactivate': 'Close your account',
};

const back = () => link('Back to your profile', '/#/', 'below');
const withAccount = (title, render) => withSession(title, 'auth/me/', ({ ok, data }) =>
  (ok ? render(data) : go('/#/two-factor', 'replaceState'))); // where the account has to have it first

export const profile = withAccount('Your profile', async (account) => {
  const hello = make('p', { 'data-hello': '' }, 'One moment…');
  const view = show('Your profile', null,
    make('dl', {}, ...describe(account)),
    make('h2', {}, 'Change it'),
    make('ul', { className: 'ways' },
      ...Object.entries(WAYS).map(([href, label]) => make('li', {}, link(label, href, 'below')))),
    make('h2', {}, 'From the app'), hello,
    make('h2', {}, 'Stay logged in'),
    make('p', {}, 'This page renews your session by itself when it is needed. You can also do it now.'),
    make('div', { className: 'actions' },
      button('Refresh session', () => refresh(), () => notify('Your session has been refreshed.')),
      logOutButton()));

  const answer = await call('GET', 'hello');
  if (!view.isConnected) return;
  if (answer.over) return sessionOver();
  hello.textContent = answer.ok ? answer.data.message : failureText(answer);
});

function describe(account) {
  const time = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: 'long', timeStyle: 'short' });
  const rows = {
    'Email address': `${account.email} (${account.email_verified ? 'confirmed' : 'not confirmed'})`,
    'Username': account.username ?? 'None',
    'Member since': time.format(new Date(account.created_at)),
    'Last login': account.last_login_at ? time.format(new Date(account.last_login_at)) : 'Never',
    'Account ID': account.id,
  };
  for (const [name, value] of Object.entries(account.attributes)) rows[LABELS[name] ?? name] = value;
  return Object.entries(rows).flatMap(([term, value]) =>
    [make('dt', {}, term), make('dd', {}, typeof value === 'string' ? value : JSON.stringify(value))]);
}

export const editProfile = withAccount('Edit your profile', ({ attributes }) => {
  const fields = Object.entries(LABELS).map(([name, label]) => text(name, label, { value: attributes[name] ?? '' }));
  // What is left empty is removed.
  const given = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value || null]));
  show('Edit your profile', 'All of this is optional.',
    form(fields.flat(), 'Save', (values) => call('PATCH', 'auth/me/', given(values)), () => go('/#/')), back());
});

export const changePassword = withAccount('Change your password', () => {
  const fields = [
    ...password({ name: 'old_password', label: 'Present password' }),
    ...newPassword('new_password', 'New password'),
  ];
  const done = () => message('Your password has been changed', 'You stay logged in here, and nowhere else.', PROFILE);
  show('Change your password', 'Every other session of yours ends with it.',
    form(fields, 'Save password', (values) => call('POST', 'auth/change-password/', values), done), back());
});

export const changeEmail = withAccount('Change your email address', (account) => {
  const request = (values) => call('POST', 'auth/change-email/', values);
  const done = (_, form) => message('Check your mail', `Open the link in the mail to ${form.elements.new_email.value} `
    + 'to change your address. Until then it stays as it is.', PROFILE);
  show('Change your email address', ['It is now ', make('strong', {}, account.email), '.'],
    form(email({ name: 'new_email', label: 'New email address', value: '' }), 'Send a link', request, done),
    back());
});

export const deactivate = withAccount('Close your account', () => {
  const fields = [
    ...password(),
    ...tick('confirm_deactivation', 'I want to close my account', 'Tick this to go on.'),
  ];
  const request = (values) => call('POST', 'auth/deactivate-account/', { ...values, confirm_deactivation: true });
  const done = () => {
    typed.email = '';
    setSession('out');
    message('Your account is closed', 'To open it again, reset your password.', ['Reset the password', '/#/forgot']);
  };
  show('Close your account', 'To open it again, reset your password. After a while it is removed.',
    form(fields, 'Close my account', request, done), back());
});
