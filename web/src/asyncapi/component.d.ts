declare module "@asyncapi/react-component/browser/without-parser.js" {
  import type { ComponentType } from "react";

  const AsyncApi: ComponentType<{ schema: object; config?: object }>;
  export default AsyncApi;
}
