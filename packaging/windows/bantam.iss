; Inno Setup 6: installs the folder that packaging/build.py has made. From the project's folder:
;   iscc /DVersion=0.1.0 packaging\windows\bantam.iss
; For this user alone by default, so that no administrator is needed.
#ifndef Version
  #error Give the version: iscc /DVersion=0.1.0 bantam.iss
#endif
#define Root "..\.."

[Setup]
AppId={{6E0B5C1C-6C5B-4F0E-9B0B-7C1D3B1E5A11}
AppName=Bantam
AppVersion={#Version}
AppPublisher=The Bantam authors
DefaultDirName={autopf}\Bantam
DefaultGroupName=Bantam
DisableProgramGroupPage=yes
PrivilegesRequired=lowest
PrivilegesRequiredOverridesAllowed=dialog
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
MinVersion=10.0.17763
LicenseFile={#Root}\LICENSE
SetupIconFile={#Root}\build\bundle\icons\bantam.ico
UninstallDisplayIcon={app}\bantam.exe
OutputDir={#Root}\dist
OutputBaseFilename=bantam-{#Version}-windows-x86_64-setup
Compression=lzma2/max
SolidCompression=yes
ChangesAssociations=yes
ChangesEnvironment=yes
CloseApplications=yes

[Tasks]
Name: desktopicon; Description: "An icon on the desktop"; Flags: unchecked
Name: openwith; Description: "Offer Bantam in “Open with” for .gguf files"
Name: path; Description: "The command “bantam-console” in every terminal"; Flags: unchecked

[InstallDelete]
; What another version has left must not be found by this one.
Type: filesandordirs; Name: "{app}\_internal"

[Files]
Source: "{#Root}\build\bundle\frozen\bantam\*"; DestDir: "{app}"; Flags: recursesubdirs createallsubdirs ignoreversion

[Icons]
Name: "{autoprograms}\Bantam"; Filename: "{app}\bantam.exe"
Name: "{autodesktop}\Bantam"; Filename: "{app}\bantam.exe"; Tasks: desktopicon

[Registry]
Root: HKA; Subkey: "Software\Classes\Bantam.gguf"; ValueType: string; ValueData: "GGUF language model"; Flags: uninsdeletekey; Tasks: openwith
Root: HKA; Subkey: "Software\Classes\Bantam.gguf\DefaultIcon"; ValueType: string; ValueData: "{app}\bantam.exe,0"; Tasks: openwith
Root: HKA; Subkey: "Software\Classes\Bantam.gguf\shell\open\command"; ValueType: string; ValueData: """{app}\bantam.exe"" ""%1"""; Tasks: openwith
Root: HKA; Subkey: "Software\Classes\.gguf\OpenWithProgids"; ValueType: string; ValueName: "Bantam.gguf"; ValueData: ""; Flags: uninsdeletevalue; Tasks: openwith
Root: HKCU; Subkey: "Environment"; ValueType: expandsz; ValueName: "Path"; ValueData: "{olddata};{app}"; Check: IsNotOnPath; Tasks: path

[Run]
Filename: "{app}\bantam.exe"; Description: "Open Bantam"; Flags: nowait postinstall skipifsilent

[Code]
function IsNotOnPath: Boolean;
var
  Paths: string;
begin
  Result := not RegQueryStringValue(HKCU, 'Environment', 'Path', Paths)
    or (Pos(';' + Lowercase(ExpandConstant('{app}')) + ';', ';' + Lowercase(Paths) + ';') = 0);
end;

procedure CurUninstallStepChanged(Step: TUninstallStep);
begin
  if (Step = usPostUninstall) and not UninstallSilent then
    MsgBox('Models, conversations and settings stay in ' + ExpandConstant('{localappdata}\Bantam') + '.',
      mbInformation, MB_OK);
end;
