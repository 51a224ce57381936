/** What the store tells, as far as the page shows it (/v1/openapi.json, /v1/asyncapi.json). */

export const SPECIES = ["DOG", "CAT", "RABBIT", "BIRD", "REPTILE", "OTHER"] as const;
export type Species = (typeof SPECIES)[number];

export interface Pet {
  id: string;
  name: string;
  species: Species;
  breed?: string;
  color?: string;
  ageMonths: number;
  price: string;
  currency: string;
  status: "AVAILABLE" | "PENDING" | "ADOPTED" | "NOT_AVAILABLE";
  photos: string[];
  updatedAt: string;
}

export type OrderStatus = "PLACED" | "APPROVED" | "SHIPPED" | "DELIVERED" | "CANCELLED";

export interface Order {
  id: string;
  number: number;
  petId?: string;
  items: { petId: string; price: string }[];
  userId?: string;
  status: OrderStatus;
  totalAmount: string;
  currency: string;
  createdAt: string;
  updatedAt: string;
}

export interface Payment {
  status: "PROCESSING" | "SUCCEEDED" | "FAILED" | "REFUNDED";
  failureReason?: string;
}

/** How many pets of one species there are, by status. */
export interface Stock {
  available: number;
  pending: number;
  adopted: number;
}

export interface Envelope {
  id: string;
  eventType: string;
  timestamp: string;
  tenantId: string;
  topic: string;
  cursor: string;
  data: {
    pet?: Pet;
    petId?: string;
    order?: Order;
    payment?: Payment;
    species?: Species;
    [name: string]: unknown;
  };
}

export interface Chat {
  id: string;
  subject?: string;
  customerId: string;
  agentId?: string;
  status: "WAITING" | "ASSIGNED" | "CLOSED";
}

export interface Message {
  id: string;
  chatId: string;
  senderId?: string;
  senderRole: "CUSTOMER" | "AGENT" | "SYSTEM";
  text: string;
  sentAt: string;
  deliveredAt?: string;
  readAt?: string;
}
