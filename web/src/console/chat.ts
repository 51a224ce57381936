/** A chat in which this page is both sides: the customer over WebSocket, the agent over Socket.IO. */

import { signal } from "@preact/signals";
import { io, type Socket } from "socket.io-client";

import { call } from "./api";
import { SOCKET_IO } from "./doors/socketio";
import { uuid4 } from "./ids";
import { WS_BASE } from "./page";
import { type Login, sit } from "./session";
import type { Chat, Message } from "./types";

/** How long after the last key somebody is taken to type no more. */
const TYPING_MS = 2000;
const LONGEST_LIST = 100;

/** What one side sees. */
export class Side {
  readonly connected = signal(false);
  readonly chat = signal<Chat | undefined>(undefined);
  readonly messages = signal<readonly Message[]>([]);
  /** Whether the other side types. */
  readonly typing = signal(false);
  readonly fault = signal("");
  login: Login | undefined;

  keep(message: Message): void {
    const others = this.messages.value.filter(({ id }) => id !== message.id);
    // Ids ascend in the order in which messages were sent.
    this.messages.value = [...others, message]
      .sort((one, other) => (one.id < other.id ? -1 : 1))
      .slice(-LONGEST_LIST);
  }

  /** Something came that both doors name alike. */
  hear(name: string, chatId: string, data: Message & Chat & { userId?: string }): void {
    if (chatId !== this.chat.value?.id) return;
    if (name === "chatMessage" || name === "messageDelivered" || name === "messageRead") this.keep(data);
    else if (name === "agentAssigned" || name === "chatClosed") this.chat.value = data;
    else if (data.userId !== this.login?.userId) {
      if (name === "typingStarted") this.typing.value = true;
      if (name === "typingStopped") this.typing.value = false;
    }
  }

  clear(): void {
    this.connected.value = false;
    this.chat.value = undefined;
    this.messages.value = [];
    this.typing.value = false;
    this.fault.value = "";
  }
}

export const customer = new Side();
export const agent = new Side();

let socket: WebSocket | undefined;
let client: Socket | undefined;

/** The customer comes, and opens a chat. */
export async function openChat(subject: string): Promise<void> {
  customer.clear();
  socket?.close();
  customer.login = await sit("customer");
  const mine = new WebSocket(`${WS_BASE}/v1/ws/chat?token=${customer.login.token}`);
  socket = mine;
  mine.onopen = () => tellStore("joinChat", { subject });
  mine.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "ack" && frame.data.chat) {
      customer.connected.value = true;
      customer.chat.value = frame.data.chat;
    } else if (frame.type === "ack" && frame.data.message) customer.keep(frame.data.message);
    else if (frame.type === "error") customer.fault.value = frame.data.message;
    else if (frame.chatId) {
      customer.hear(frame.type, frame.chatId, frame.data);
      if (frame.type === "chatMessage" && frame.data.senderId !== customer.login?.userId) {
        tellStore("messageRead", { messageId: frame.data.id });
      }
    }
  };
  mine.onclose = ({ code }) => {
    if (socket !== mine) return;
    customer.connected.value = false;
    customer.fault.value = `The connection was closed with ${code}.`;
  };
}

function tellStore(type: string, data: object = {}): void {
  const chatId = customer.chat.value?.id;
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type, ...(chatId === undefined ? {} : { chatId }), id: type, data }));
}

/** An agent comes, and is given the chats that wait. */
export async function agentComes(): Promise<void> {
  agent.clear();
  client?.disconnect();
  const login = await sit("staff");
  agent.login = login;
  const mine = io(SOCKET_IO.url, {
    path: SOCKET_IO.path,
    forceNew: true,
    transports: ["websocket"],
    auth: { token: login.token },
  });
  client = mine;
  mine.on("connected", () => {
    agent.connected.value = true;
  });
  mine.on("disconnect", () => {
    agent.connected.value = false;
  });
  mine.on("connect_error", ({ message }) => {
    agent.fault.value = message;
  });
  mine.on("agentAssigned", (chat: Chat) => void take(chat));
  mine.onAny((name: string, data) => {
    if (data?.chatId === undefined || name === "agentAssigned") return;
    agent.hear(name, data.chatId, data);
    if (name === "chatMessage" && data.senderRole === "CUSTOMER")
      mine.emit("messageRead", { messageId: data.id, chatId: data.chatId });
  });
}

/** Of the chats that are the agent's, the one of this page's customer is shown, or else the newest. */
async function take(chat: Chat): Promise<void> {
  const ours = customer.chat.value?.id;
  if (chat.status !== "ASSIGNED" || (ours !== undefined && chat.id !== ours)) return;
  agent.chat.value = chat;
  const list = await call<{ data: Message[] }>(
    { token: agent.login?.token },
    "GET",
    `/v1/chats/${chat.id}/messages`,
  );
  for (const message of list.data) {
    agent.keep(message);
    if (message.senderRole === "CUSTOMER" && message.readAt === undefined) {
      client?.emit("messageRead", { chatId: chat.id, messageId: message.id });
    }
  }
}

export function say(side: Side, text: string): void {
  const chatId = side.chat.value?.id;
  if (chatId === undefined || text.trim() === "") return;
  const message = { text, clientMessageId: uuid4() };
  if (side === customer) tellStore("chatMessage", message);
  else {
    client?.emit(
      "chatMessage",
      { chatId, ...message },
      (answer: { ok: boolean; data: { message: Message } }) => {
        if (answer.ok) agent.keep(answer.data.message);
      },
    );
  }
  stopTyping(side);
}

const timers = new Map<Side, ReturnType<typeof setTimeout>>();

/** Somebody typed: the other side is told, and told again when nothing follows. */
export function types(side: Side): void {
  if (!timers.has(side)) tellTyping(side, "typingStarted");
  clearTimeout(timers.get(side));
  timers.set(
    side,
    setTimeout(() => stopTyping(side), TYPING_MS),
  );
}

function stopTyping(side: Side): void {
  if (!timers.has(side)) return;
  clearTimeout(timers.get(side));
  timers.delete(side);
  tellTyping(side, "typingStopped");
}

function tellTyping(side: Side, name: string): void {
  const chatId = side.chat.value?.id;
  if (side === customer) tellStore(name);
  else if (chatId !== undefined) client?.emit(name, { chatId });
}

export function agentLeaves(): void {
  client?.disconnect();
  client = undefined;
  agent.clear();
}

/** Both leave, as when the page acts in another tenant. */
export function endChat(): void {
  agentLeaves();
  const leaving = socket;
  socket = undefined;
  leaving?.close();
  customer.clear();
}
