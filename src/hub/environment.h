#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace foregate::hub {

/// What huggingface_hub's environment variables say. A variable set to nothing counts as not set.
struct Environment {
  /// HF_HUB_CACHE (or HUGGINGFACE_HUB_CACHE), else "hub" in HF_HOME, else in
  /// XDG_CACHE_HOME/huggingface, else in ~/.cache/huggingface.
  std::filesystem::path cache;
  /// HF_ENDPOINT without '/' at its end; https://huggingface.co.
  std::string endpoint;
  /// HF_TOKEN (or HUGGING_FACE_HUB_TOKEN), else what is in the file HF_TOKEN_PATH, "token" in
  /// HF_HOME; empty if there is none. Never printed.
  std::string token;
  /// HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE): 1, ON, YES or TRUE.
  bool offline = false;
  /// HF_HUB_DOWNLOAD_TIMEOUT: how long a connection may be silent.
  std::chrono::seconds timeout{10};
  /// SSL_CERT_FILE, else CURL_CA_BUNDLE: certificates to trust; empty: the system's.
  std::string certificates;
};

using GetVariable = std::function<std::optional<std::string>(const char* name)>;

/// Throws UsageError for values that cannot be meant: an endpoint that is no http(s) address, a
/// token with characters that no header can carry, a timeout that is no number.
Environment read_environment();
/// The same from other variables than the process's, for tests.
Environment read_environment(const GetVariable& variable);

}  // namespace foregate::hub
