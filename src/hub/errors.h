#pragma once

#include <string>

#include "hub/environment.h"
#include "hub/http.h"
#include "hub/repo_id.h"

namespace foregate::hub {

/// What was asked of the hub, for messages.
struct Request {
  RepoId repo;
  std::string revision;
  std::string url;
};

/// Turns an answer that trying again will not change into an error that says what to do: a
/// repository that is missing, private or gated, a revision or file that is not there, a token that
/// is refused. Always throws (EnvironmentError).
[[noreturn]] void throw_refusal(const Response& response, const Request& request,
                                const Environment& environment);

/// Waits before the client's next try and says so in its log, or gives up with an EnvironmentError
/// that names `problem`. Throws Stopped.
void wait_or_give_up(Backoff& backoff, const std::string& problem, const Headers& headers,
                     const HttpClient& client);

/// "503 Service Unavailable from https://...", for an answer that is temporary.
std::string describe(const Response& response, const Request& request);

}  // namespace foregate::hub
