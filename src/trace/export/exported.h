#pragma once

// Internal to trace/: names of the files that export writes and import reads back.

#include <filesystem>
#include <string>

#include "trace/manifest.h"
#include "trace/token_names.h"

namespace foregate::trace::exported {

inline constexpr const char* kManifest = "export.json";  ///< beside arrays
inline constexpr const char* kArrays = "traces";         ///< NAME of the stacked arrays
inline constexpr const char* kLines = "traces.jsonl";

// Files of stacked arrays: NAME and one of these.
inline constexpr const char* kExpertsSuffix = ".experts.npy";
inline constexpr const char* kProbsSuffix = ".probs.npy";
inline constexpr const char* kWeightsSuffix = ".gate_weights.npy";
inline constexpr const char* kTokenIdsSuffix = ".token_ids.npy";
inline constexpr const char* kOffsetsSuffix = ".offsets.npy";
inline constexpr const char* kMetaSuffix = ".meta.jsonl";

/// What an export keeps of the manifest: all but the shards and what is not exported (logits,
/// features).
Manifest without_shards(Manifest manifest);

/// The manifest of an export, as JSON in `where`, with the names of tokens that lie in `folder` if
/// the manifest says that there are any.
Manifest read_manifest(const Json& json, const std::string& where,
                       const std::filesystem::path& folder, TokenNames& names);

}  // namespace foregate::trace::exported
