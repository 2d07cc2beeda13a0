#!/bin/sh
# Signs, packs and, where an account is given, notarises build/bundle/frozen/Bantam.app. Run on macOS after build.py.
#   SIGNING_IDENTITY   "Developer ID Application: …"; without it the app is signed for this machine only (ad hoc)
#   NOTARY_PROFILE     a profile of `xcrun notarytool store-credentials`; without it nothing is sent to Apple
set -eu
cd "$(dirname "$0")/../.."
app=build/bundle/frozen/Bantam.app
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' app/__init__.py)
image=dist/bantam-$version-macos-$(uname -m).dmg
identity=${SIGNING_IDENTITY:--}

# From the inside out: a signature covers what is in it. Libraries need no entitlements, the program does.
find "$app/Contents" -type f \( -name '*.dylib' -o -name '*.so' \) -print0 |
    xargs -0 -n 20 codesign --force --timestamp --options runtime --sign "$identity"
codesign --force --timestamp --options runtime --entitlements packaging/macos/entitlements.plist --sign "$identity" "$app"
codesign --verify --deep --strict "$app"

mkdir -p dist
staging=$(mktemp -d)
cp -R "$app" "$staging/"
ln -s /Applications "$staging/Applications"
hdiutil create -volname Bantam -srcfolder "$staging" -fs HFS+ -format UDZO -ov "$image"
rm -rf "$staging"

if [ -n "${NOTARY_PROFILE-}" ]; then
    xcrun notarytool submit "$image" --keychain-profile "$NOTARY_PROFILE" --wait
    xcrun stapler staple "$image"
    spctl --assess --type open --context context:primary-signature --verbose "$image"
else
    echo "Not notarised: others will have to allow it in System Settings."
fi
echo "$image"
