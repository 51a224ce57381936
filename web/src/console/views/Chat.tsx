/** @jsxImportSource preact */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { type Side, agent, agentComes, agentLeaves, customer, openChat, say, types } from "../chat";
import { attempt } from "../console";
import { DEMO } from "../page";
import { seats, tenant } from "../session";
import { timeOf } from "../words";

const open = signal(false);
const SUBJECT = "A question about a pet";

export function Chat() {
  return (
    <section class={`chat ${open.value ? "open" : ""}`} aria-label="Support chat">
      <button
        type="button"
        class="chat-toggle"
        aria-expanded={open.value}
        aria-controls="chat-sides"
        onClick={() => (open.value = !open.value)}
      >
        Chat <span class="quiet">customer and agent</span>
      </button>
      <div id="chat-sides" class="chat-sides" hidden={!open.value}>
        <Pane
          side={customer}
          title="Customer"
          door="WebSocket"
          start="Open a chat"
          begin={() => openChat(SUBJECT)}
          may={DEMO || tenant.value !== undefined || seats.value.customer !== undefined}
        />
        <Pane
          side={agent}
          title="Agent"
          door="Socket.IO"
          start="Come as agent"
          begin={agentComes}
          leave={agentLeaves}
          may={DEMO || tenant.value !== undefined || seats.value.staff !== undefined}
        />
      </div>
    </section>
  );
}

interface Props {
  side: Side;
  title: string;
  door: string;
  start: string;
  begin: () => Promise<void>;
  leave?: () => void;
  may: boolean;
}

function Pane({ side, title, door, start, begin, leave, may }: Props) {
  const { chat, connected, fault } = side;
  const id = title.toLowerCase();
  return (
    <div class={`pane pane-${id}`} data-side={id}>
      <div class="panel-head">
        <h3>{title}</h3>
        <p class="quiet">{connected.value ? `${side.login?.username}, over ${door}` : `over ${door}`}</p>
        {connected.value && leave !== undefined && (
          <button type="button" class="plain" onClick={leave}>
            Leave
          </button>
        )}
      </div>
      {connected.value ? (
        <>
          <Messages side={side} label={`Messages, ${id}'s side`} />
          {chat.value === undefined ? (
            <p class="empty">No chat waits.</p>
          ) : (
            <Entry side={side} label={`Message as ${id}`} />
          )}
        </>
      ) : may ? (
        <button type="button" class="primary" onClick={() => void attempt(begin)}>
          {start}
        </button>
      ) : (
        <p class="empty">Sign in with an account of this role to take part.</p>
      )}
      {fault.value !== "" && <p class="bad">{fault.value}</p>}
    </div>
  );
}

const ROLES: Record<string, string> = { CUSTOMER: "Customer", AGENT: "Agent", SYSTEM: "The store's advisor" };

function Messages({ side, label }: { side: Side; label: string }) {
  const end = useRef<HTMLDivElement>(null);
  const count = side.messages.value.length;
  useEffect(() => {
    if (count > 0 && end.current !== null) end.current.scrollTop = end.current.scrollHeight;
  }, [count]);
  const own = side === customer ? "CUSTOMER" : "AGENT";
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div class="messages" ref={end} role="log" aria-label={label} tabIndex={0}>
      {side.chat.value?.status === "WAITING" && <p class="system">Waiting for an agent.</p>}
      {side.messages.value.map((message) => (
        <div key={message.id} class={`message ${message.senderRole === own ? "own" : ""}`}>
          <p class="quiet">
            {message.senderRole === own ? "You" : (ROLES[message.senderRole] ?? message.senderRole)},{" "}
            {timeOf(message.sentAt)}
            {message.senderRole === own &&
              (message.readAt !== undefined
                ? " · read"
                : message.deliveredAt !== undefined
                  ? " · delivered"
                  : "")}
          </p>
          <p>{message.text}</p>
        </div>
      ))}
      <p class="system" aria-hidden="true">
        {side.typing.value ? "typing…" : ""}
      </p>
    </div>
  );
}

function Entry({ side, label }: { side: Side; label: string }) {
  return (
    <form
      class="entry"
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget as HTMLFormElement;
        say(side, String(new FormData(form).get("text")));
        form.reset();
      }}
    >
      <input name="text" aria-label={label} maxLength={4000} autocomplete="off" onInput={() => types(side)} />
      <button type="submit">Send</button>
    </form>
  );
}
