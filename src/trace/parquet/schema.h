#pragma once

// Names and types of the Parquet columns, shared by writer and reader. Internal to trace/.

#include <memory>
#include <optional>
#include <string>

#include "trace/manifest.h"
#include "trace/parquet/arrow_fwd.h"

namespace foregate::trace::schema {

inline constexpr const char* kDataset = "dataset";
inline constexpr const char* kSample = "sample";
inline constexpr const char* kNumTokens = "num_tokens";
inline constexpr const char* kPromptTokens = "prompt_tokens";
inline constexpr const char* kTokenIds = "token_ids";
inline constexpr const char* kExperts = "experts";
inline constexpr const char* kGateWeights = "gate_weights";
inline constexpr const char* kRouterLogits = "router_logits";

inline constexpr const char* kMetaVersion = "foregate.format_version";
inline constexpr const char* kMetaModel = "foregate.model";
inline constexpr const char* kMetaGeometry = "foregate.geometry";

/// Experts are stored in one byte where that holds them all.
inline bool experts_fit_a_byte(const Geometry& geometry) {
  return geometry.num_experts <= 256;
}

/// The columns of a shard.
std::shared_ptr<arrow::Schema> shard_schema(const Manifest& manifest);

/// What a shard's Parquet key-value metadata says, so that it can be read alone.
std::shared_ptr<arrow::KeyValueMetadata> shard_metadata(const Manifest& manifest);

/// The geometry in a shard's key-value metadata; nothing if there is none. Throws DataError naming
/// `file` if it is broken or of a newer format version.
std::optional<Geometry> geometry_in_metadata(const arrow::KeyValueMetadata* metadata,
                                             const std::string& file);

}  // namespace foregate::trace::schema
