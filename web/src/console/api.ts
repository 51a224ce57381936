/** Calls of the REST door. */

import { BASE } from "./page";

/** What the store refused, in its own words (RFC 9457). */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Caller {
  token?: string | undefined;
  tenant?: string | undefined;
}

/**
 * Calls the store, and gives what it answers; undefined for an empty answer.
 *
 * @throws Refusal with status 0 when nobody answers.
 */
export async function call<T>(caller: Caller, method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  if (caller.token !== undefined) headers.Authorization = `Bearer ${caller.token}`;
  if (caller.tenant !== undefined) headers["X-Tenant-ID"] = caller.tenant;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(`${BASE}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refusal(0, "The store does not answer.");
  }
  const text = await response.text();
  if (response.ok) return (text ? JSON.parse(text) : undefined) as T;
  throw new Refusal(response.status, reason(text) ?? `The store answered ${response.status}.`);
}

function reason(text: string): string | undefined {
  try {
    const problem = JSON.parse(text) as { detail?: string; errors?: { field: string; message: string }[] };
    const errors = problem.errors?.map((error) => `${error.field}: ${error.message}`);
    return errors?.join(", ") ?? problem.detail;
  } catch {
    return undefined;
  }
}
