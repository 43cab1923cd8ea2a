"""What Moonraker's sections and options are called, so that a warning can tell "not yet" from "misspelt"."""

from __future__ import annotations

from typing import Final

_OPTIONS: Final = {
    "server": "host port ssl_port klippy_uds_address route_prefix max_upload_size max_websocket_connections"
    " enable_debug_logging ssl_certificate_path ssl_key_path use_xheaders",
    "analysis": "auto_dump_default_config enable_auto_analysis enable_estimator_updates estimator_config"
    " estimator_timeout platform",
    "announcements": "dev_mode enable_moonlight subscriptions",
    "authorization": "cors_domains default_source enable_api_key force_logins login_timeout max_login_attempts"
    " trusted_clients",
    "data_store": "gcode_store_size temperature_store_size",
    "database": "database_path enable_database_debug",
    "file_manager": "check_klipper_config_path config_path default_metadata_parser_timeout enable_inotify_warnings"
    " enable_config_write_access enable_object_processing enable_observer_warnings file_system_observer log_path"
    " queue_gcode_uploads",
    "job_queue": "automatic_transition job_transition_delay job_transition_gcode load_on_startup",
    "machine": "force_validation provider shutdown_action sudo_password supervisord_config_path validate_config"
    " validate_service",
    "notifier": "attach body body_format events title url",
    "octoprint_compat": "enable_ufp flip_h flip_v rotate_90 stream_url webcam_enabled",
    "secrets": "secrets_path",
    "spoolman": "server sync_rate",
    "webcam": "aspect_ratio enabled flip_horizontal flip_vertical icon location rotation service snapshot_url"
    " stream_url target_fps target_fps_idle",
    "zeroconf": "enable_ssdp mdns_hostname",
}
_OTHER_SECTIONS: Final = (
    "button history ldap mqtt paneldue power sensor simplyprint td1 timelapse update_manager wled"  # names only
)

MOONRAKER_OPTIONS: Final[dict[str, frozenset[str]]] = {
    **{kind: frozenset(options.split()) for kind, options in _OPTIONS.items()},
    **{kind: frozenset() for kind in _OTHER_SECTIONS.split()},
}

MOVED_FROM_SERVER: Final = {  # older configurations still have them in [server]
    option: kind
    for kind in ("data_store", "database", "file_manager", "job_queue", "machine")
    for option in MOONRAKER_OPTIONS[kind]
}
