#pragma once

#include <string>

#include "base/json.h"
#include "base/run_context.h"
#include "collect/source.h"
#include "trace/manifest.h"

namespace foregate::collect {

/// What a manifest says of a model and what it runs in: weights and its name left out.
trace::Manifest manifest_of_model(const std::filesystem::path& model,
                                  const models::ModelConfig& config,
                                  const tensor::Compute& compute);

/// Beside the manifest of texts that a model continued: how.
inline constexpr const char* kGenerationName = "generation.json";

/// Writes `settings` (null: texts are not continued) beside the manifest that is about to be made;
/// where there is one, it must have been made with the same. Throws UsageError naming the setting
/// that differs.
void keep_generation(const std::filesystem::path& directory, const Json& settings);

/// What this run would write into a fresh directory: everything in the manifest but shards.
trace::Manifest planned_manifest(const Source& source);

/// Continues what `directory` holds: returns its manifest if it was made with the settings of
/// `planned`, from the same weights and texts, for as many traces or fewer, or `planned` itself for
/// a directory without one. Removes what an interrupted run left half-written. Throws UsageError
/// naming the setting that differs, DataError naming what was read and has changed; of a manifest
/// without digests one line says that this cannot be checked.
trace::Manifest resume_or_start(const std::filesystem::path& directory,
                                const trace::Manifest& planned, Logger& log);

}  // namespace foregate::collect
