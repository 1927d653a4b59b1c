// Two-factor login: an authenticator, and backup codes for when it is lost.

import { DIGITS, button, code, form, password } from './forms.js';
import { call, logOutButton, withSession } from './session.js';
import { PROFILE, link, make, message, notify, show } from './view.js';

const TITLE = 'Two-factor login';
const back = () => link('Back to two-factor login', '/#/two-factor', 'below');

// Shows `on` where two-factor login is on, and the way to turn it on elsewhere.
const withFactors = (on) => withSession(TITLE, 'auth/2fa/backup-codes/', ({ ok, data }) =>
  (ok ? on(data) : off(data.code === 'second_factor_required')));

export const twoFactor = withFactors(({ count }) => {
  show(TITLE, `It is on. You have ${count} backup ${count === 1 ? 'code' : 'codes'} left.`,
    make('ul', { className: 'ways' },
      make('li', {}, link('New backup codes', '/#/backup-codes', 'below')),
      make('li', {}, link('Replace the authenticator', '/#/two-factor-replace', 'below')),
      make('li', {}, link('Turn it off', '/#/two-factor-off', 'below'))),
    link('Back to your profile', '/#/', 'below'));
});

function off(required) {
  show(TITLE, `${required ? 'Your account needs it before you can go on.' : 'It is off.'} With it, a login takes your `
    + 'password and a code from an authenticator app on your phone.',
    make('div', { className: 'actions' },
      button('Set it up', () => call('POST', 'auth/2fa/setup/', {}), ({ data }) => setUp(data), { className: '' }),
      ...(required ? [logOutButton()] : [])),
    ...(required ? [] : [link('Back to your profile', '/#/', 'below')]));
}

function setUp(data) {
  const done = (answer) => showCodes('Two-factor login is on', answer.data.backup_codes);
  return showSecret(data,
    form(code(DIGITS), 'Turn it on', (values) => call('POST', 'auth/2fa/enable/', values), done));
}

async function showSecret({ secret, qr_code: png, otpauth_uri: uri }, ...forms) {
  const canvas = make('canvas', { role: 'img', 'aria-label': 'QR code for your authenticator' });
  show('Set up your authenticator', 'Scan this with your authenticator app, then enter the code that it shows.',
    make('div', { className: 'qr' }, canvas),
    make('p', {}, 'No camera? ', link('Open it on this device', uri), ', or type this in: ',
      make('code', { 'data-secret': '' }, secret)),
    ...forms,
    back());
  // Drawn, since the page's policy allows no image that is not from the server.
  const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext('2d').drawImage(image, 0, 0);
}

// The only time that they can be seen.
function showCodes(title, codes) {
  const file = `${codes.join('\n')}\n`;
  const copy = async () => {
    const done = await navigator.clipboard?.writeText(file).then(() => true, () => false);
    if (done) notify('The codes are in the clipboard.');
    else notify('Copying is not allowed here. Please select the codes.', { bad: true });
  };
  const href = URL.createObjectURL(new Blob([file], { type: 'text/plain' }));
  show(title, 'Keep these backup codes where you find them without your phone. Each is good for one login. '
    + 'We cannot show them again.',
    make('ol', { className: 'codes' }, ...codes.map((each) => make('li', {}, make('code', {}, each)))),
    make('div', { className: 'actions' },
      make('button', { className: 'quiet', onclick: copy }, 'Copy'),
      make('a', { className: 'button quiet', href, download: 'backup-codes.txt' }, 'Download')),
    link('I have kept them', '/#/two-factor', 'below'));
}

export const newBackupCodes = withFactors(() => {
  const done = ({ data }) => showCodes('Your new backup codes', data.backup_codes);
  show('New backup codes', 'The ones that you have now stop working.',
    form(password(), 'Make new codes', (values) => call('POST', 'auth/2fa/backup-codes/', values), done), back());
});

export const replaceAuthenticator = withFactors(() => {
  show('Replace the authenticator', 'For a new phone, or when the old one is lost. Your backup codes stay.',
    make('div', { className: 'actions' },
      button('I have the old one', () => call('POST', 'auth/2fa/setup/', { replace: true }),
        ({ data }) => showSecret(data, replacement(withOldOne())), { className: '' }),
      button('I have lost it', () => call('POST', 'auth/2fa/setup/', { replace: true }),
        ({ data }) => showSecret(data, replacement(withBackupCode())))),
    back());
});

const withOldOne = () => code({
  ...DIGITS, name: 'current_code', label: 'Code of the old authenticator', hint: 'The six digits that it shows now.',
});
const withBackupCode = () => [
  ...password(),
  ...code({ name: 'backup_code', label: 'Backup code', hint: 'One of those that you have kept. It is used up.' }),
];

function replacement(right) {
  const fields = [
    ...code({ ...DIGITS, label: 'Code of the new authenticator', hint: 'The six digits that it shows now.' }),
    ...right,
  ];
  const done = () => message('The authenticator was replaced', 'Use the new one from now on.', PROFILE);
  return form(fields, 'Replace it', (values) => call('POST', 'auth/2fa/replace/', values), done);
}

export const turnOff = withFactors(() => {
  const request = (values) => call('POST', 'auth/2fa/disable/', values);
  const done = () => message('Two-factor login is off', 'Your password is all that a login takes now.', PROFILE);
  show('Turn off two-factor login', 'A backup code does not do this.',
    form([...password(), ...code(DIGITS)], 'Turn it off', request, done), back());
});
