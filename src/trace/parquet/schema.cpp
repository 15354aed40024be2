#include "trace/parquet/schema.h"

#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trace/geometry.h"

namespace foregate::trace::schema {
namespace {

std::shared_ptr<arrow::Field> list_column(const char* name, std::shared_ptr<arrow::DataType> type) {
  auto element = arrow::field("element", std::move(type), /*nullable=*/false);
  return arrow::field(name, arrow::list(std::move(element)), /*nullable=*/false);
}

std::shared_ptr<arrow::Field> plain_column(const char* name,
                                           std::shared_ptr<arrow::DataType> type) {
  return arrow::field(name, std::move(type), /*nullable=*/false);
}

}  // namespace

std::shared_ptr<arrow::Schema> shard_schema(const Manifest& manifest) {
  const bool bytes = experts_fit_a_byte(manifest.geometry);
  arrow::FieldVector fields = {plain_column(kDataset, arrow::utf8()),
                               plain_column(kSample, arrow::int64()),
                               plain_column(kNumTokens, arrow::int32()),
                               plain_column(kPromptTokens, arrow::int32()),
                               list_column(kTokenIds, arrow::int32()),
                               list_column(kExperts, bytes ? arrow::uint8() : arrow::uint16())};
  if (manifest.gate_weights) fields.push_back(list_column(kGateWeights, arrow::float16()));
  if (manifest.router_logits) fields.push_back(list_column(kRouterLogits, arrow::float16()));
  return arrow::schema(std::move(fields));
}

std::shared_ptr<arrow::KeyValueMetadata> shard_metadata(const Manifest& manifest) {
  return arrow::key_value_metadata({kMetaVersion, kMetaModel, kMetaGeometry},
                                   {std::to_string(kTraceFormatVersion), manifest.model,
                                    geometry_to_json(manifest.geometry).dump()});
}

std::optional<Geometry> geometry_in_metadata(const arrow::KeyValueMetadata* metadata,
                                             const std::string& file) {
  if (metadata == nullptr) return std::nullopt;
  const int version = metadata->FindKey(kMetaVersion);
  if (version >= 0 && metadata->value(version) != std::to_string(kTraceFormatVersion)) {
    throw DataError(fmt::format("{}: {} is '{}'; this foregate reads version {}; use a newer one",
                                file, kMetaVersion, metadata->value(version), kTraceFormatVersion));
  }
  const int geometry = metadata->FindKey(kMetaGeometry);
  if (geometry < 0) return std::nullopt;
  const std::string where = fmt::format("{}: {}", file, kMetaGeometry);
  const Json json = parse_json(metadata->value(geometry), where);
  return geometry_from_json(JsonReader(json, where));
}

}  // namespace foregate::trace::schema
