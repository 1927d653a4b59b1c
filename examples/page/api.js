// Talks to the server. Nothing here touches the page.

// Never throws: a failed connection comes back as status 0.
export async function send(method, path, body) {
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

// A 401 about the session; a wrong password is one, too.
const refused = ({ status, data }) => status === 401 && data.code !== 'invalid_credentials';

// For calls that need a session: on 401 refresh once, then repeat the call.
// `over` in the answer means that this did not help: the session has ended.
export async function sendInSession(method, path, body) {
  const seen = lastRefresh();
  const answer = await send(method, path, body);
  if (!refused(answer)) return answer;
  const renewed = await refresh(seen);
  if (!renewed.ok) return renewed;
  const again = await send(method, path, body);
  return { ...again, over: refused(again) };
}

// One refresh at a time: a refresh token may be good for one use only, so two calls (or two
// tabs, which share the cookies) must not both spend it. Who had to wait, and finds that
// there has been a refresh since the one it has seen, has nothing left to do.
let refreshing = null;
export function refresh(seen = lastRefresh()) {
  const work = async () => {
    if (lastRefresh() !== seen) return { ok: true };
    const answer = await send('POST', 'auth/refresh/');
    if (answer.ok) localStorage.setItem('last-refresh', Date.now());
    return { ...answer, over: refused(answer) };
  };
  // navigator.locks is missing where the page is not served from https or localhost.
  refreshing ??= (navigator.locks?.request('auth-refresh', work) ?? work())
    .finally(() => { refreshing = null; });
  return refreshing;
}

export function failureText({ status, data, retryAfter }) {
  if (status === 0) return 'We cannot reach the server. Check your connection and try again.';
  if (status === 429) return `Too many attempts in a short time. ${whenText(retryAfter)}`;
  if (status === 503) return `The service is not available right now. ${whenText(retryAfter)}`;
  if (status >= 500) return 'Something went wrong on our side. Please try again later.';
  return data.detail ?? 'That did not work. Please try again.';
}

function whenText(seconds) {
  if (!(seconds > 0)) return 'Please try again later.';
  const [amount, unit] = seconds < 100 ? [seconds, 'second'] : [Math.ceil(seconds / 60), 'minute'];
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: 'unit', unit, unitDisplay: 'long' });
  return `Please try again in ${format.format(amount)}.`;
}
