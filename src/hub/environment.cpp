#include "hub/environment.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/error.h"

namespace foregate::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEndpoint = "https://huggingface.co";

/// The first of the variables that is set to something.
std::optional<std::string> first_of(const GetVariable& variable,
                                    std::initializer_list<const char*> names) {
  for (const char* name : names) {
    auto value = variable(name);
    if (value && !value->empty()) return value;
  }
  return std::nullopt;
}

std::string home_directory(const GetVariable& variable) {
  if (const auto home = first_of(variable, {"HOME"})) return *home;
  const passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr ? entry->pw_dir : "/";
}

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// "~" at the front, $NAME and ${NAME}; a variable that is not set stays as it is written.
fs::path expanded(const std::string& path, const GetVariable& variable) {
  std::string result;
  size_t i = 0;
  if (path == "~" || path.starts_with("~/")) {
    result = home_directory(variable);
    i = 1;
  }
  while (i < path.size()) {
    const bool braces = path.compare(i, 2, "${") == 0;
    const size_t begin = i + (braces ? 2 : 1);
    size_t end = begin;
    while (end < path.size() && is_name_character(path[end])) ++end;
    const bool closed = !braces || (end < path.size() && path[end] == '}');
    if (path[i] != '$' || end == begin || !closed) {
      result += path[i++];
      continue;
    }
    const size_t next = end + (braces ? 1 : 0);
    const auto value = variable(path.substr(begin, end - begin).c_str());
    result += value ? *value : path.substr(i, next - i);
    i = next;
  }
  return result;
}

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::toupper(c); });
  constexpr std::array<std::string_view, 4> kTrue{"1", "ON", "YES", "TRUE"};
  return std::ranges::find(kTrue, value) != kTrue.end();
}

/// Without white space around it and line ends in it, as files and shells leave them.
std::string clean_token(std::string token) {
  std::erase_if(token, [](char c) { return c == '\r' || c == '\n'; });
  const size_t first = token.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  token = token.substr(first, token.find_last_not_of(" \t") - first + 1);
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; })) {
    throw UsageError(
        "the token (HF_TOKEN or the token file) holds characters that no token has; copy it again "
        "from the hub's settings");
  }
  return token;
}

std::string read_token(const GetVariable& variable, const fs::path& home) {
  if (const auto token = first_of(variable, {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})) {
    return clean_token(*token);
  }
  const auto named = first_of(variable, {"HF_TOKEN_PATH"});
  std::ifstream file(named ? expanded(*named, variable) : home / "token", std::ios::binary);
  if (!file) return "";
  return clean_token({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
}

std::string read_endpoint(const GetVariable& variable) {
  std::string endpoint = first_of(variable, {"HF_ENDPOINT"}).value_or(kEndpoint);
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://")) {
    throw UsageError(
        fmt::format("HF_ENDPOINT is '{}'; expected an address such as {}", endpoint, kEndpoint));
  }
  return endpoint;
}

std::chrono::seconds read_timeout(const GetVariable& variable, std::chrono::seconds fallback) {
  const auto text = first_of(variable, {"HF_HUB_DOWNLOAD_TIMEOUT"});
  if (!text) return fallback;
  int seconds = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, seconds);
  if (error != std::errc() || stop != end || seconds < 1) {
    throw UsageError(
        fmt::format("HF_HUB_DOWNLOAD_TIMEOUT is '{}'; expected whole seconds, at least 1", *text));
  }
  return std::chrono::seconds(seconds);
}

}  // namespace

Environment read_environment(const GetVariable& variable) {
  const auto hf_home = first_of(variable, {"HF_HOME"});
  const auto xdg_cache = first_of(variable, {"XDG_CACHE_HOME"});
  const fs::path home = expanded(hf_home     ? *hf_home
                                 : xdg_cache ? *xdg_cache + "/huggingface"
                                             : home_directory(variable) + "/.cache/huggingface",
                                 variable);
  const auto cache = first_of(variable, {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  const auto offline = first_of(variable, {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"});

  Environment environment;
  environment.cache = cache ? expanded(*cache, variable) : home / "hub";
  environment.endpoint = read_endpoint(variable);
  environment.token = read_token(variable, home);
  environment.offline = offline && is_true(*offline);
  environment.timeout = read_timeout(variable, environment.timeout);
  environment.certificates = first_of(variable, {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}).value_or("");
  return environment;
}

Environment read_environment() {
  return read_environment([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return value;
  });
}

}  // namespace foregate::hub
