// Which view belongs to which address.

import { forgot, logIn, loggedOut } from './login.js';
import { resetPassword, verifyAccount, verifyEmailChange } from './mail_links.js';
import { notMe } from './not_me.js';
import { changeEmail, changePassword, deactivate, editProfile, profile } from './profile.js';
import { checkMail, resend, signUp } from './signup.js';
import { newBackupCodes, replaceAuthenticator, turnOff, twoFactor } from './two_factor.js';
import { setSession } from './view.js';

const FOR_ALL = {
  '/verify-account': verifyAccount,
  '/verify-email-change': verifyEmailChange,
  '/password-reset-confirm': resetPassword,
  '/not-me': notMe,
  '/#/signup': signUp,
  '/#/check-mail': checkMail,
  '/#/resend': () => resend(),
  '/#/login': logIn,
  '/#/forgot': forgot,
  '/#/logged-out': loggedOut,
};

const IN_SESSION = {
  '/#/edit': editProfile,
  '/#/password': changePassword,
  '/#/email': changeEmail,
  '/#/deactivate': deactivate,
  '/#/two-factor': twoFactor,
  '/#/backup-codes': newBackupCodes,
  '/#/two-factor-off': turnOff,
  '/#/two-factor-replace': replaceAuthenticator,
};

function route() {
  const here = location.pathname + (location.hash || '#/');
  const open = FOR_ALL[location.pathname] ?? FOR_ALL[here];
  if (open && !document.body.dataset.session) setSession('out');
  for (const link of document.querySelectorAll('nav a')) {
    link.ariaCurrent = link.getAttribute('href') === here ? 'page' : null;
  }
  (open ?? IN_SESSION[here] ?? profile)();
}

addEventListener('popstate', route); // "back", "forward", links to a #hash, and go()
route();
