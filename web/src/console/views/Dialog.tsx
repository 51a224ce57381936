/** @jsxImportSource preact */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  title: string;
  close: () => void;
  children: ComponentChildren;
  class?: string;
}

/** The browser's own modal dialog: it holds the focus, and gives it back. */
export function Dialog({ title, close, children, class: name = "" }: Props) {
  const place = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = place.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={place} class={name} aria-labelledby="dialog-title" onClose={close} closedby="any">
      <div class="dialog-body">
        <div class="panel-head">
          <h2 id="dialog-title">{title}</h2>
          <button type="button" class="close" aria-label="Close" onClick={close}>
            ×
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}
