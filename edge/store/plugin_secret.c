/* plugin_secret.c - the Secret Service of a Linux desktop (GNOME Keyring, KWallet, KeePassXC) as a keyring, through
 * libsecret.
 * Owns:   the one item an entry is. Does not: wait (keyring_call.c bounds it), unlock: that would open a window.
 * A shared object of its own, which links nothing of voxlock.
 */
#include <libsecret/secret.h>
#include <stdio.h>
#include <string.h>

#include "edge/store/keyring_private.h"

static const SecretSchema schema = {
    .name = "org.voxlock.StoreKey",
    .flags = SECRET_SCHEMA_NONE,
    .attributes = {{"store", SECRET_SCHEMA_ATTRIBUTE_STRING}, {NULL, 0}},
};

/* Takes the error's text, and frees it. */
static vx_err told(vx_err err, GError *error, char *ret_why)
{
    snprintf(ret_why, VX_KEYRING_WHY_CAP, "%s", error ? error->message : "it gives no reason");
    g_clear_error(&error);
    return err;
}

static vx_err is_locked(char *ret_why)
{
    snprintf(ret_why, VX_KEYRING_WHY_CAP, "it is locked: log in with your password, or unlock it by hand");
    return VX_ERR_STORE_KEY;
}

static vx_err connect_service(SecretService **ret_service, char *ret_why)
{
    GError *error = NULL;
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, &error);
    if (!bus)
        return told(VX_ERR_UNSUPPORTED, error, ret_why);
    /* GLib ends the whole program by SIGTERM when the bus goes away, unless it is told not to. */
    g_dbus_connection_set_exit_on_close(bus, FALSE);
    SecretService *service = secret_service_get_sync(SECRET_SERVICE_OPEN_SESSION, NULL, &error);
    g_object_unref(bus); /* the service holds it */
    if (!service)
        return told(VX_ERR_UNSUPPORTED, error, ret_why);
    *ret_service = service;
    return VX_OK;
}

/* The collection that new secrets go to. A session's collection would forget the key at the end of the session. */
static vx_err default_collection(SecretService *service, SecretCollection **ret_collection, char *ret_why)
{
    GError *error = NULL;
    SecretCollection *collection =
        secret_collection_for_alias_sync(service, SECRET_COLLECTION_DEFAULT, SECRET_COLLECTION_NONE, NULL, &error);
    if (error)
        return told(VX_ERR_STORE_KEY, error, ret_why);
    const char *path = collection ? g_dbus_proxy_get_object_path(G_DBUS_PROXY(collection)) : "";
    if (!collection || g_str_has_suffix(path, "/session")) {
        snprintf(ret_why, VX_KEYRING_WHY_CAP, "it has no keyring that outlasts the session");
        g_clear_object(&collection);
        return VX_ERR_UNSUPPORTED;
    }
    if (secret_collection_get_locked(collection)) {
        g_object_unref(collection);
        return is_locked(ret_why);
    }
    *ret_collection = collection;
    return VX_OK;
}

static GHashTable *attributes_of(const char *key_id)
{
    return secret_attributes_build(&schema, "store", key_id, NULL);
}

/* The item, unlocked. NOT_FOUND is said only when nothing that is locked could hold it. */
static vx_err find(SecretService *service, const char *key_id, SecretItem **ret_item, char *ret_why)
{
    GError *error = NULL;
    GHashTable *attributes = attributes_of(key_id);
    GList *items = secret_service_search_sync(service, &schema, attributes, SECRET_SEARCH_NONE, NULL, &error);
    g_hash_table_unref(attributes);
    if (error)
        return told(VX_ERR_STORE_KEY, error, ret_why);

    vx_err err = VX_OK;
    if (!items) {
        SecretCollection *collection = NULL;
        err = default_collection(service, &collection, ret_why);
        g_clear_object(&collection);
        if (err == VX_OK)
            err = VX_ERR_NOT_FOUND;
    } else if (secret_item_get_locked(SECRET_ITEM(items->data))) {
        err = is_locked(ret_why);
    } else {
        *ret_item = SECRET_ITEM(g_object_ref(items->data));
    }
    g_list_free_full(items, g_object_unref);
    return err;
}

static vx_err get(const char *key_id, char *ret_secret, char *ret_why)
{
    SecretService *service = NULL;
    SecretItem *item = NULL;
    GError *error = NULL;
    vx_err err = connect_service(&service, ret_why);
    if (err == VX_OK)
        err = find(service, key_id, &item, ret_why);
    if (err == VX_OK && !secret_item_load_secret_sync(item, NULL, &error))
        err = told(VX_ERR_STORE_KEY, error, ret_why);
    SecretValue *value = err == VX_OK ? secret_item_get_secret(item) : NULL;
    if (value) {
        gsize n = 0;
        const char *text = secret_value_get(value, &n);
        const gsize kept = n < VX_KEYRING_TEXT_CAP ? n : 0;
        memcpy(ret_secret, text, kept);
        ret_secret[kept] = '\0';
        secret_value_unref(value); /* libsecret wipes it */
    }
    g_clear_object(&item);
    g_clear_object(&service);
    return err;
}

static vx_err put(const char *key_id, const char *secret, char *ret_why)
{
    SecretService *service = NULL;
    SecretCollection *collection = NULL;
    GError *error = NULL;
    vx_err err = connect_service(&service, ret_why);
    if (err == VX_OK)
        err = default_collection(service, &collection, ret_why);
    if (err == VX_OK) {
        GHashTable *attributes = attributes_of(key_id);
        SecretValue *value = secret_value_new(secret, (gssize)strlen(secret), "text/plain");
        SecretItem *item = secret_item_create_sync(collection, &schema, attributes, vx_keyring_label(key_id), value,
                                                   SECRET_ITEM_CREATE_REPLACE, NULL, &error);
        if (!item)
            err = told(VX_ERR_STORE_KEY, error, ret_why);
        g_clear_object(&item);
        secret_value_unref(value);
        g_hash_table_unref(attributes);
    }
    g_clear_object(&collection);
    g_clear_object(&service);
    return err;
}

static vx_err drop(const char *key_id, char *ret_why)
{
    SecretService *service = NULL;
    SecretItem *item = NULL;
    GError *error = NULL;
    vx_err err = connect_service(&service, ret_why);
    if (err == VX_OK)
        err = find(service, key_id, &item, ret_why);
    if (err == VX_OK && !secret_item_delete_sync(item, NULL, &error))
        err = told(VX_ERR_STORE_KEY, error, ret_why);
    g_clear_object(&item);
    g_clear_object(&service);
    return err;
}

VX_KEYRING_PLUGIN_EXPORT = {
    .abi = VX_KEYRING_ABI,
    .name = "Secret Service",
    .get = get,
    .put = put,
    .drop = drop,
};
