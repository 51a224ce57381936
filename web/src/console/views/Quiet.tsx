/** @jsxImportSource preact */

import { acting } from "../session";
import { hooks, work } from "../quiet";

const QUIET = [
  ["rest", "REST"],
  ["grpc", "gRPC"],
  ["mcp", "MCP"],
  ["classic", "Classic Petstore"],
  ["advisor", "Advisor"],
] as const;

/** The doors that programs call: what they did since the gateway began. */
export function QuietDoors() {
  return (
    <section aria-labelledby="quiet-title" class="panel">
      <div class="panel-head">
        <h2 id="quiet-title">Other doors</h2>
        <p class="quiet">Since this node began, all tenants</p>
      </div>
      {work.value === null ? (
        <p class="empty">
          What was called at gRPC, MCP, the classic door and the webhooks is in the gateway's metrics, which
          it shows to its own machine alone.
        </p>
      ) : (
        <dl class="quiet-doors">
          {QUIET.map(([id, title]) => {
            const done = work.value?.get(id);
            return (
              <div key={id} data-door={id}>
                <dt>{title}</dt>
                <dd>
                  <strong>{done?.total ?? 0}</strong> {done?.total === 1 ? "call" : "calls"}
                  {(done?.open ?? 0) > 0 && `, ${done?.open} open`}
                  <span class="quiet">
                    {done?.operations
                      .slice(0, 2)
                      .map(([name, count]) => ` ${name} ×${count}`)
                      .join(",")}
                  </span>
                </dd>
              </div>
            );
          })}
          <div data-door="webhooks">
            <dt>Webhooks</dt>
            <dd>
              <strong>{hooks.value.succeeded}</strong> delivered
              <span class="quiet">
                {hooks.value.failed > 0 &&
                  ` ${hooks.value.failed} ${hooks.value.failed === 1 ? "attempt" : "attempts"} failed`}
                {acting.value === "staff" && hooks.value.succeeded === 0 && " POST /v1/webhooks makes one"}
              </span>
            </dd>
          </div>
        </dl>
      )}
    </section>
  );
}
