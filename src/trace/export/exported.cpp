#include "trace/export/exported.h"

namespace foregate::trace::exported {

Manifest without_shards(Manifest manifest) {
  manifest.shards.clear();
  manifest.complete = false;
  manifest.router_logits = false;
  manifest.feature_fraction = 0;
  manifest.shard_traces = 0;
  manifest.batch_tokens = 0;
  return manifest;
}

Manifest read_manifest(const Json& json, const std::string& where,
                       const std::filesystem::path& folder, TokenNames& names) {
  Manifest manifest = without_shards(Manifest::from_json(json, where));
  if (has_token_names(manifest.token_ids)) names = TokenNames::read(folder, manifest.token_ids);
  return manifest;
}

}  // namespace foregate::trace::exported
