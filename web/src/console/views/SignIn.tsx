/** @jsxImportSource preact */

import { signal } from "@preact/signals";

import { attempt } from "../console";
import { acting, signIn } from "../session";
import { Dialog } from "./Dialog";

export const signingIn = signal(false);
const busy = signal(false);

async function submit(event: SubmitEvent) {
  event.preventDefault();
  const form = new FormData(event.currentTarget as HTMLFormElement);
  const account = { username: String(form.get("username")), password: String(form.get("password")) };
  busy.value = true;
  const done = await attempt(async () => {
    const login = await signIn(account);
    acting.value = login.staff ? "staff" : "customer";
  });
  busy.value = false;
  if (done) signingIn.value = false;
}

export function SignIn() {
  if (!signingIn.value) return null;
  return (
    <Dialog title="Sign in" class="sign-in" close={() => (signingIn.value = false)}>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          User name
          <input name="username" autocomplete="username" required />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <button type="submit" class="primary" disabled={busy.value}>
          Sign in
        </button>
      </form>
    </Dialog>
  );
}
