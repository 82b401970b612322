"""What is assumed beyond names that are imported: methods that are replaced, and how.

Methods are on classes whose objects the programs get from MLflow, so their source does not say
where they are.
"""

from .places import Assumption as A  # noqa: N817 - there are many

RUNS = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore"
MODELS = "mlflow.store.model_registry.sqlalchemy_store:SqlAlchemyStore"
APART = "mlflow.store.tracking.sqlalchemy_workspace_store:WorkspaceAwareSqlAlchemyStore"
JOBS = "mlflow.store.jobs.sqlalchemy_store:SqlAlchemyJobStore"
S3 = "mlflow.store.artifact.s3_artifact_repo:S3ArtifactRepository"
FOLDER = "mlflow.store.artifact.local_artifact_repo:LocalArtifactRepository"
STREAM = "mlflow.store.artifact.artifact_repo:StreamUploadMixin"
ROUTER = "mlflow.server.artifact_router"
AUTH = "mlflow.server.auth"
USERS = "mlflow.server.auth.sqlalchemy_store:SqlAlchemyStore"
SESSIONS = "self.ManagedSessionMaker = "

SERVER = (
    A(
        "mlflow.cli:server",
        options="--app-name --host --port --workers --backend-store-uri --serve-artifacts"
        " --artifacts-destination --default-artifact-root --allowed-hosts --cors-allowed-origins"
        " --uvicorn-opts",
    ),
    *(
        A(f"mlflow.environment_variables:{name}")
        for name in (
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE",
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
            "MLFLOW_DISABLE_TELEMETRY",
        )
    ),
    # server.py
    A(f"{ROUTER}:_get_artifact_repo", parameters=""),
    A(f"{ROUTER}:_get_workspace_scoped_path", parameters="artifact_path"),
    A(f"{ROUTER}:_content_disposition", parameters="filename"),
    A(f"{ROUTER}:upload_artifact", parameters="artifact_path request", coroutine=True),
    A(ROUTER, source='"/api/2.0/mlflow-artifacts/artifacts/{artifact_path:path}"'),
    A("mlflow.server.otel_api:_convert_otlp_json_ids_to_base64", parameters="body"),
    A("mlflow.server.otel_api:export_traces", coroutine=True),
    A("mlflow.server.fastapi_security:init_fastapi_security", parameters="app"),
    A(f"{RUNS}.log_spans_async", parameters="location spans", coroutine=True),
    # concurrency.py, refusals.py
    *(A(f"{store}.__init__", source=SESSIONS) for store in (RUNS, MODELS, JOBS)),
    A(f"{RUNS}.rename_experiment"),
    # conflicts.py
    A(f"{RUNS}.start_trace", parameters="trace_info"),
    A(f"{RUNS}.log_spans", parameters="location spans", coroutine=False),
    # places.py
    A(f"{RUNS}._get_trace_artifact_location_tag", parameters="experiment trace_id"),
    A(
        f"{RUNS}._advance_db_payload_generations_for_db_span_writes",
        parameters="session trace_ids",
    ),
    A(
        f"{RUNS}._log_spans_once",
        source="self._advance_db_payload_generations_for_db_span_writes(",
    ),
    # places.py
    A("mlflow.store.tracking.sqlalchemy_store:_validate_trace_tag", parameters="key value"),
    A(f"{RUNS}.set_trace_tag", source="_validate_trace_tag("),
    A(f"{RUNS}._log_spans_once", source="_validate_trace_tag("),
    A(
        f"{RUNS}.deprecated_start_trace_v2",
        parameters="experiment_id timestamp_ms request_metadata tags",
    ),
    A(
        f"{RUNS}.deprecated_end_trace_v2",
        parameters="request_id timestamp_ms status request_metadata tags",
    ),
    A(f"{MODELS}.create_model_version", parameters="name source"),
    # workspaces.py
    *(
        A(f"{module}:resolve_workspace_for_request_if_enabled", parameters="path header_value")
        for module in ("mlflow.server.workspace_helpers", "mlflow.server.fastapi_app")
    ),
    A("mlflow.server.workspace_helpers:_get_workspace_store"),
    A(
        "mlflow.server.handlers:_get_workspace_scoped_repo_path_if_enabled",
        parameters="artifact_path",
    ),
    A(f"{APART}._get_artifact_location", parameters="experiment_id workspace"),
    A(f"{APART}._trace_query", parameters="session"),
    A(f"{APART}._get_workspace_provider_instance", parameters=""),
    # lost_secrets.py
    A(
        "mlflow.store.model_registry.dbmodels.models:EncryptedString.process_result_value",
        parameters="value dialect",
    ),
    A("mlflow.webhooks.delivery:_generate_hmac_signature", parameters="secret"),
    # reading.py
    A("mlflow.models.model:Model.from_dict"),
    A("mlflow.utils.search_utils:SearchLoggedModelsPaginationToken.decode"),
    A("mlflow.utils.search_utils:SearchUtils.parse_start_offset_from_page_token"),
    A(f"{RUNS}._apply_filter_string_datasets_search_logged_models"),
    A("mlflow.server.handlers:_get_normalized_request_json"),
    A("mlflow.server.handlers:_get_request_json"),
    A("mlflow.server.handlers:_get_request_message"),
    A("mlflow.server.handlers:_get_validated_flask_request_json"),
    A("mlflow.server.handlers:_graphql"),
    A("mlflow.utils.search_logged_model_utils:parse_filter_string"),
    # repository.py
    A(f"{S3}._get_s3_client", parameters=""),
    A(f"{S3}.parse_s3_compliant_uri", parameters="uri"),
    A(f"{S3}.__init__", source="self._bucket_owner_params = "),
    A(f"{S3}.get_s3_file_upload_extra_args", parameters=""),
    A(f"{S3}._download_file", parameters="remote_file_path local_path"),
    A(f"{S3}.list_artifacts", parameters="path"),
    A(f"{S3}.delete_artifacts", parameters="artifact_path"),
    A(f"{S3}.log_artifacts", parameters="local_dir artifact_path"),
    A(f"{S3}.create_multipart_upload", parameters="local_file num_parts artifact_path"),
    A(
        f"{S3}.complete_multipart_upload",
        parameters="local_file upload_id parts artifact_path",
    ),
    A(f"{S3}.abort_multipart_upload", parameters="local_file upload_id artifact_path"),
    A(f"{S3}.get_download_presigned_url", parameters="artifact_path expiration"),
    A(f"{STREAM}.log_artifact_from_stream", parameters="stream artifact_file_name artifact_path"),
    A(
        f"{STREAM}.log_artifact_from_async_stream",
        parameters="chunks artifact_file_name artifact_path",
        coroutine=True,
    ),
    # folder.py
    A(f"{FOLDER}.artifact_dir"),
    A(f"{FOLDER}.log_artifact", parameters="local_file artifact_path"),
    A(f"{FOLDER}.log_artifact_from_stream", parameters="stream artifact_file_name artifact_path"),
    A(f"{FOLDER}._get_or_create_artifact_dir", parameters="artifact_path"),
    A(f"{FOLDER}.list_artifacts", parameters="path"),
    A(f"{FOLDER}.get_local_path", parameters="artifact_path"),
    A(f"{FOLDER}.delete_artifacts", parameters="artifact_path"),
    A(
        f"{FOLDER}._publish_staged_artifact",
        parameters="temp_file_path destination_file_path finalize_temp_path",
    ),
)
"""Of the servers, whatever a stack file says."""

SCHEMA_JOB = (
    A("mlflow.store.db.utils:_get_alembic_config", parameters="db_url"),
    A(
        "mlflow.store.db.base_sql_model:Base",
        columns="experiments.workspace experiments.artifact_location"
        " webhooks.webhook_id webhooks.name webhooks.secret webhooks.deleted_timestamp"
        " secrets.secret_id secrets.secret_name secrets.wrapped_dek secrets.kek_version",
    ),
    A("mlflow.utils.crypto:KEKManager", parameters="passphrase kek_version"),
    A("mlflow.utils.crypto:KEKManager.get_kek", parameters=""),
    A("mlflow.utils.crypto:wrap_dek", parameters="dek kek"),
    A("mlflow.utils.crypto:unwrap_dek", parameters="wrapped_dek kek"),
)

GARBAGE = (
    A(
        "mlflow.cli:gc",
        options="--older-than --backend-store-uri --artifacts-destination --jobs --all-workspaces",
    ),
    *(
        A(f"{RUNS}._hard_delete_{thing}", parameters=f"{thing.rpartition('_')[2]}_id")
        for thing in ("run", "logged_model", "experiment")
    ),
    A(
        f"{RUNS}.delete_traces",
        parameters="experiment_id max_timestamp_millis max_traces",
    ),
    A(
        "mlflow.store.db.base_sql_model:Base",
        columns="entity_associations.source_type entity_associations.destination_type"
        " inputs.source_type inputs.destination_type logged_models.artifact_location"
        " scorers.scorer_id guardrails.scorer_id endpoint_bindings.resource_type"
        " model_versions.storage_location trace_info.request_id datasets.dataset_uuid"
        " logged_model_metrics.dataset_uuid",
    ),
)

OF_AUTH = (
    *(
        A(f"mlflow.environment_variables:{name}")
        for name in (
            "MLFLOW_AUTH_CONFIG_PATH",
            "MLFLOW_BASIC_AUTH_FAIL_CLOSED",
            "MLFLOW_FLASK_SERVER_SECRET_KEY",
            "MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH",
            "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED",
        )
    ),
    A(f"{AUTH}:create_app", parameters="app"),
    A(f"{AUTH}.db.utils:migrate_if_needed", parameters="engine revision"),
    A(f"{USERS}.init_db", source=SESSIONS),
    A(f"{USERS}._get_user", parameters="session username"),
    A(f"{USERS}.get_user", parameters="username"),
    A(f"{USERS}.update_user", parameters="username password is_admin"),
    A(f"{USERS}.delete_user", parameters="username"),
    A(f"{AUTH}:_authenticate_fastapi_request", parameters="request"),
    A(f"{AUTH}:is_unprotected_route", parameters="path"),
    A(f"{AUTH}:_canonical_artifact_proxy_path"),
    A(f"{AUTH}:_get_role_workspace_from_request", parameters=""),
    A(f"{AUTH}:validate_can_manage_roles", source="_get_role_workspace_from_request()"),
    A(f"{AUTH}:validate_can_view_roles", source="_get_role_workspace_from_request()"),
    A("mlflow.server.handlers:_get_workspace_scoped_repo_path_if_enabled"),
    A(f"{AUTH}:_find_fastapi_validator", parameters="path method"),
    A(f"{AUTH}:authenticate_request", parameters=""),
    A(f"{AUTH}:sender_is_admin", parameters=""),
    A(f"{AUTH}.db.models:SqlUser", columns="id username password_hash is_admin"),
    # With workspaces.
    A(f"{AUTH}:resolve_workspace_for_request_if_enabled"),
    A(f"{AUTH}:_get_resource_workspace", source="_RESOURCE_WORKSPACE_CACHE[cache_key] = "),
    A(f"{AUTH}.db.models:SqlRole", columns="id name workspace"),
    A(f"{AUTH}.db.models:SqlUserRoleAssignment", columns="user_id role_id"),
    A(f"{AUTH}.db.models:SqlRolePermission", columns="role_id resource_type permission"),
    A(f"{USERS}._is_synthetic_role_name"),
    # With `auth: oidc`.
    A(f"{USERS}.create_user", parameters="username password is_admin"),
    A(f"{USERS}.get_user", parameters="username"),
    A(f"{AUTH}.entities:User.is_admin"),
    A(f"{AUTH}:_authenticate_custom_for_fastapi", parameters="request"),
    A(f"{AUTH}:get_current_user", source="auth_config.authorization_function == "),
    A(f"{AUTH}:auth_config"),
)
"""Of the servers and the schema job with users."""

OF_TRACE_JOBS = (
    A("mlflow.cli:server", options="--trace-archival-config"),
    A("mlflow.environment_variables:MLFLOW_TRACE_ARCHIVAL_CONFIG"),
    A("mlflow.environment_variables:MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS"),
    A("mlflow.tracing.trace_archival_service:run_trace_archival_scheduler", parameters=""),
    A(f"{RUNS}.search_experiments"),
)
"""With `trace_archival`, `trace_retention` or `trace_rollups`."""

OF_ROLLUPS = (
    *(
        A(f"mlflow.environment_variables:MLFLOW_{name}")
        for name in (
            "SQL_TRACE_ROLLUPS_ENABLED",
            "TRACE_ROLLUPS_SCHEDULE",
            "TRACE_ROLLUPS_MAX_WORKERS",
        )
    ),
    A(
        "mlflow.tracing.trace_rollup_service:run_sql_trace_rollup_scheduler",
        parameters="tracking_store",
    ),
)
