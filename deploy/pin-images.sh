#!/bin/sh
# Name the images of compose.yaml and the Dockerfile by what they are now, and not by a tag, of which whoever publishes
# them can make others: run it in the folder of both, look at the difference, test, and commit it. Run it again to renew.
set -eu

for file in compose.yaml Dockerfile; do
    # Those with a tag; the one without is built from the Dockerfile.
    images=$(sed -nE 's/^( *image:|FROM) ([a-z0-9./_-]+:[A-Za-z0-9._-]+).*/\2/p' "$file" | sort -u)
    for image in $images; do
        digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
        case $digest in
            sha256:????????????????????????????????????????????????????????????????) ;;
            *) echo "$image: no digest" >&2; exit 1 ;;
        esac
        sed -E "s,^( *image:|FROM) $image(@sha256:[0-9a-f]*)?,\1 $image@$digest," "$file" > "$file.pinned"
        # Not moved, so that it keeps its mode.
        cat "$file.pinned" > "$file"
        rm "$file.pinned"
        echo "$file: $image@$digest"
    done
done
