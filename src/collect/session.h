#pragma once

#include <string>

#include "base/run_context.h"
#include "collect/options.h"
#include "engine/engine.h"
#include "text/datasets/sampling.h"
#include "trace/manifest.h"

namespace foregate::collect {

/// What this run would write into a fresh directory: everything in the manifest but shards. Nothing
/// in `options` is left to be chosen.
trace::Manifest planned_manifest(const CollectOptions& options, const engine::Engine& engine,
                                 const text::SamplingPlan& plan);

/// Continues what `directory` holds: returns its manifest if it was made with the settings of
/// `planned` (otherwise UsageError naming the setting that differs), or `planned` itself for a
/// directory without one. Removes what an interrupted run left half-written.
trace::Manifest resume_or_start(const std::filesystem::path& directory,
                                const trace::Manifest& planned, Logger& log);

/// Whether the trace keeps the hidden states of this text: a share `fraction` of them, chosen by
/// hash so that neither order nor resuming matters.
bool keeps_features(const std::string& dataset, int64_t row, uint64_t seed, double fraction);

}  // namespace foregate::collect
