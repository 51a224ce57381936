/** The tabs that a newcomer finds: an operation of each kind, and how to log in. */
export const EXAMPLES = [
  {
    query: `# Queries need no sign-in.
query Pets {
  pets(status: AVAILABLE, limit: 5) {
    id
    name
    species
    price
  }
}
`,
  },
  {
    query: `# Run this, then copy the access token into the
# headers (below) of the tabs that need it:
#   { "Authorization": "Bearer YOUR-TOKEN" }
# demo-staff / demo-staff-password is STAFF of the
# demo, demo / demo-password a customer.
# The header X-Tenant-ID names a private tenant.
mutation LogIn {
  login(input: {
    username: "demo-staff"
    password: "demo-staff-password"
  }) {
    accessToken
    expiresIn
  }
}
`,
  },
  {
    query: `# For STAFF, and seen at once in the tab Events.
mutation AddPet($pet: PetInput!) {
  createPet(input: $pet) {
    id
    name
    status
  }
}
`,
    variables: `{
  "pet": {
    "name": "Nora",
    "species": "DOG",
    "ageMonths": 18,
    "price": "120.00"
  }
}
`,
    headers: '{ "Authorization": "Bearer YOUR-TOKEN" }\n',
  },
  {
    query: `# Follows the store over a WebSocket. The argument
# after: "…", a cursor, gets what was missed first.
subscription Events {
  events(topics: ["pets/#"]) {
    cursor
    eventType
    topic
    data
  }
}
`,
  },
];
